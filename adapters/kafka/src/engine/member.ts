// A member of a consumer group: joins, says that it lives whatever its handlers do, hands out what it fetches, and joins anew
// when the group changes. kafkajs's own consumer does these in one loop, heartbeats between messages only, waits for nobody
// when it has to give partitions up, and restarts or dies by the class of what was thrown: nothing of that here.
import { type Call, type Clock, PolybusError, sleep, type Timer } from '@polybus/core'
import type { Assignment, JoinOptions, Member } from '../client.ts'
import { aborted, closed, connectionFailed, isStale, kafkaError, kafkaName, leaseLost } from '../errors.ts'
import { placeOf } from '../names.ts'
import { byTopic } from './admin.ts'
import type { Claim } from './assignor.ts'
import { enter, readCounts } from './entry.ts'
import { createFetcher, type Fetcher } from './fetcher.ts'
import { startHeart } from './heart.ts'
import type { Link } from './link.ts'
import { deferred, persist, within } from '../wait.ts'

/** How a generation ended for this member. */
type Ending = 'rebalance' | 'lost' | 'stopped'

/** How often it is asked whether topics have more partitions. */
const TOPICS_MS = 30_000
const LEAVE_MS = 1000
/** A new topic is not known everywhere at once. */
const MISSING_TRIES = 3
/** What joining anew may cure. */
const ANEW = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS'])

export interface MemberContext {
  /** Its own: a broker answers one request of a connection at a time, and joining takes long. */
  readonly link: Link
  /** Another one, to leave by while `link` waits. */
  readonly aside: Link
  readonly clock: Clock
  readonly timeoutMs: number
}

export async function joinGroup(context: MemberContext, options: JoinOptions, call: Call): Promise<Member> {
  const { link, clock, timeoutMs } = context
  const { group, topics, events, sessionTimeoutMs, rebalanceTimeoutMs, heartbeatMs } = options
  const coordinator = { kind: 'group', id: group } as const
  const life = new AbortController()
  const first = deferred<void>()
  let memberId = options.formerId ?? ''
  let current: Assignment | undefined
  /** The one before, until it is told that it is lost. */
  let former: Assignment | undefined
  let claim: Claim | undefined
  let counts: ReadonlyMap<string, number> = new Map()
  let fetcher: Fetcher | undefined
  let end: ((how: Ending) => void) | undefined
  let watching: Timer | undefined
  let dead = false
  let leaving: Promise<boolean> | undefined
  let stopping: Promise<string | undefined> | undefined
  let trouble: PolybusError | undefined

  const guard = (run: () => void): void => {
    try {
      run()
    } catch (error) {
      die(error)
    }
  }
  const lose = (): void => {
    const gone = current ?? former
    current = undefined
    former = undefined
    claim = undefined
    fetcher?.stop()
    if (gone) guard(() => events.onLost(gone))
  }
  const die = (thrown: unknown): void => {
    if (dead || life.signal.aborted) return
    dead = true
    const error = kafkaError(thrown, 'no')
    life.abort()
    end?.('stopped')
    first.reject(error)
    lose()
    guard(() => events.onDead(error))
    void leave()
    void link.close().catch(() => undefined)
  }
  /** Whether the group knows that it left. */
  const leave = (): Promise<boolean> => {
    const id = memberId
    if (id === '') return Promise.resolve(true)
    leaving ??= within(
      clock,
      LEAVE_MS,
      undefined,
      context.aside.ask(coordinator, (broker) => broker.leaveGroup({ groupId: group, memberId: id })),
    ).then(
      () => true,
      (error: unknown) => kafkaName(error) === 'UNKNOWN_MEMBER_ID',
    )
    return leaving
  }
  const watchTopics = (generation: Assignment): Timer =>
    clock.timer(TOPICS_MS, () => {
      readCounts(link, topics).then(
        (now) => {
          if (current !== generation) return
          if ([...now].some(([topic, count]) => counts.get(topic) !== count)) return end?.('rebalance')
          guard(() => events.onCheck())
          watching = watchTopics(generation)
        },
        (error: unknown) => {
          if (current !== generation) return
          if (PolybusError.is(error, 'TOPOLOGY_MISSING')) return die(error)
          watching = watchTopics(generation)
        },
      )
    })

  /** One generation. */
  const live = async (assignment: Assignment): Promise<void> => {
    const ended = deferred<Ending>()
    let revoking = false
    end = ended.resolve
    current = assignment
    former = undefined
    const heart = startHeart({
      link,
      clock,
      coordinator,
      memberId,
      generation: assignment.generation,
      heartbeatMs,
      sessionTimeoutMs,
      onRebalance: () => ended.resolve('rebalance'),
      onLost(known) {
        if (!known) memberId = ''
        ended.resolve('lost')
        // At once also where handlers were still finishing, or where it begins is still being asked.
        if (revoking || !fetcher) lose()
      },
      onFailed: die,
    })
    try {
      const positions = await events.onAssigned(assignment)
      if (life.signal.aborted || current !== assignment) return
      fetcher = createFetcher(
        {
          link,
          clock,
          timeoutMs,
          maxWaitMs: options.maxWaitMs,
          maxBytesPerPartition: options.maxBytesPerPartition,
          onRecords: (batch) => guard(() => events.onRecords(batch)),
          onOutOfRange: (position) => guard(() => events.onOutOfRange(position)),
          onFailed: die,
        },
        positions,
      )
      watching = watchTopics(assignment)
      first.resolve()
      const how = await ended.promise
      fetcher.stop()
      if (how === 'stopped' || life.signal.aborted) return
      if (how === 'lost') return lose()
      revoking = true
      // The broker waits no longer either.
      await within(clock, rebalanceTimeoutMs, life.signal, events.onRevoking(assignment)).catch(() => undefined)
      if (current === assignment) former = assignment
      current = undefined
    } finally {
      heart.stop()
      watching?.cancel()
      fetcher?.stop()
      fetcher = undefined
      end = undefined
    }
  }
  const run = async (): Promise<void> => {
    for (let failures = 0; !life.signal.aborted;)
      try {
        const entered = await enter(link, options, memberId, claim, timeoutMs, (id) => {
          if (memberId !== '' && memberId !== id) lose()
          memberId = id
        })
        if (life.signal.aborted) return
        ;({ claim, counts } = entered)
        failures = 0
        await live(entered.assignment)
      } catch (thrown) {
        if (life.signal.aborted) return
        const error = kafkaError(thrown, 'no')
        const name = kafkaName(error) ?? ''
        trouble = error
        if (name === 'UNKNOWN_MEMBER_ID') {
          memberId = ''
          lose()
        }
        if (ANEW.has(name)) continue
        if (!error.retryable && !isStale(error)) return die(error)
        if (error.code === 'TOPOLOGY_MISSING' && failures >= MISSING_TRIES) return die(error)
        link.forget()
        failures++
        await sleep(clock, Math.min(1000, 50 * 2 ** failures), life.signal)
      }
  }
  const stop = async (): Promise<string | undefined> => {
    life.abort()
    end?.('stopped')
    fetcher?.stop()
    first.reject(closed())
    const left = await leave()
    current = undefined
    await within(clock, LEAVE_MS, undefined, link.close()).catch(() => undefined)
    return left ? undefined : memberId
  }

  const member: Member = {
    assignment: () => current,
    pause: (partitions) => fetcher?.pause(partitions),
    resume: (partitions) => fetcher?.resume(partitions),
    seek: (position) => fetcher?.seek(position),
    async commit(assignment, positions, { signal }) {
      if (positions.length === 0) return
      const once = async (): Promise<void> => {
        if (current !== assignment) throw leaseLost(positions.map(placeOf).join(', '))
        await link.ask(coordinator, (broker) =>
          broker.offsetCommit({
            groupId: group,
            memberId: assignment.memberId,
            groupGenerationId: assignment.generation,
            topics: byTopic(positions),
          }),
        )
      }
      const again = (error: PolybusError): boolean => error.retryable
      const limitMs = timeoutMs * 2
      const work = persist({ clock, limitMs, onStale: link.forget, again }, once)
      await within(clock, limitMs + timeoutMs, signal, work)
    },
    stop() {
      stopping ??= stop()
      return stopping
    },
  }

  first.promise.catch(() => undefined)
  void run().catch(die)
  const limitMs = rebalanceTimeoutMs + timeoutMs * 2
  try {
    await within(clock, limitMs, call.signal, first.promise, () =>
      connectionFailed(trouble?.message ?? `the group did not let it in within ${limitMs} ms`, 'no', trouble),
    )
  } catch (error) {
    await member.stop()
    if (PolybusError.is(error, 'ABORTED')) throw trouble ?? aborted('no')
    throw error
  }
  return member
}
