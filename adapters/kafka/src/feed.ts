import { type Call, createBell, type Delivery, type Feed, PolybusError, type Source } from '@polybus/core'
import type { Member, Position, TopicPartition } from './client.ts'
import { aborted, feedBroken, kafkaError } from './errors.ts'
import { regulateAll, type Token, waitOf } from './lane.ts'
import type { Layout } from './layout.ts'
import { fromNative, positionOf } from './mapping.ts'
import { bytesOf, type Output } from './outputs.ts'
import { createOwnership } from './ownership.ts'
import type { Session } from './session.ts'
import { createSettle } from './settle.ts'
import { within } from './wait.ts'

export interface KafkaFeed extends Feed {
  readonly group: string
  readonly channel: string
  owned(): readonly TopicPartition[]
  /** Partitions of these that this member owns begin there; what was delivered of them is lost. */
  rewind(positions: readonly Position[]): Promise<void>
  /** Of the partitions that this member owns: how far it is, and how much behind that is with core or finished already. */
  local(): readonly LocalLane[]
}

export interface LocalLane extends TopicPartition {
  readonly position: bigint
  readonly open: number
}

/** How long an empty receive waits. */
const WAIT_MS = 1000
/** Core waits a second for a feed to close. */
const CLOSE_MS = 900
/** Kafka gives at least one record, however large. */
const FETCH_BYTES = 256 * 2 ** 10
/** How long a fetch waits for something new: a stop and a rebalance wait for it too. */
const FETCH_WAIT_MS = 250
const NONE: readonly Delivery[] = []

/**
 * Joins the group; the feed is what its consumer holds.
 *
 * @param orphans Ids of members of this process that could not leave: as one of them the others need not wait for its end.
 */
export async function createFeed(
  session: Session,
  layout: Layout,
  source: Source,
  orphans: string[],
  call: Call,
): Promise<KafkaFeed> {
  const { client, clock, settings } = session
  const { group, maxInFlight, maxBytes } = source
  const life = new AbortController()
  const living: Call = { signal: life.signal }
  let member: Member | undefined
  let broken: PolybusError | undefined
  let closing: Promise<void> | undefined
  let draining = false
  let handed = 0
  let bytes = 0
  let turn = 0
  const bell = createBell(clock)

  const wake = bell.ring
  const breakUp = (error: unknown): void => {
    broken ??= kafkaError(error)
    wake()
  }
  const put = (token: Token): void => {
    handed--
    bytes -= token.entry.bytes
  }
  const ownership = createOwnership({
    session,
    layout,
    source,
    call: living,
    wake,
    dropped: (tokens) => tokens.forEach(put),
    breakUp,
    draining: () => draining,
  })
  const { lanes, commits } = ownership

  const done = (token: Token, how: 'finish' | 'release', outputs: readonly Output[] = []): void => {
    const { lane, entry } = token
    token.state = how === 'finish' ? 'finished' : 'released'
    lane.held.delete(token)
    put(token)
    if (how === 'finish') {
      if (lane.transaction) lane.transaction.bytes += bytesOf(outputs)
      lane.ledger.finish(entry, outputs)
      lane.dirty = true
    } else lane.ledger.release(entry)
    wake()
  }
  const settle = createSettle({
    session,
    layout,
    durable: source.durable,
    transactional: source.transactional ?? false,
    commits,
    done,
  })

  /** One of each lane in turn; answers how long until there is more. */
  const hand = (max: number): { readonly found: readonly Delivery[]; readonly waitMs: number } => {
    const found: Delivery[] = []
    let waitMs = WAIT_MS
    if (ownership.phase !== 'steady') return { found, waitMs }
    const all = [...lanes.values()]
    for (let index = turn++; all.length > 0 && found.length < max && handed < maxInFlight;) {
      if (handed > 0 && bytes >= maxBytes) break
      const at = index % all.length
      const lane = all[at]
      const wait = lane && waitOf(lane, clock)
      const entry = wait === 0 ? lane?.ledger.next() : undefined
      if (!lane || !entry) {
        if (wait !== undefined) waitMs = Math.min(waitMs, wait)
        all.splice(at, 1)
        index = at
        continue
      }
      const { record } = entry
      const message = fromNative(record, layout)
      const token: Token = { lane, entry, record, state: 'held', copied: false }
      lane.ledger.take(entry)
      lane.held.add(token)
      handed++
      bytes += entry.bytes
      index = at + 1
      found.push({
        message,
        token,
        lane: lane.name,
        position: positionOf(record),
        count: null,
        leaseMs: null,
      })
    }
    regulateAll(lanes.values(), member, ({ paused }) => paused)
    return { found, waitMs }
  }
  const receive = async (max: number, { signal }: Call): Promise<readonly Delivery[]> => {
    const until = clock.now() + WAIT_MS
    for (;;) {
      if (broken) throw broken
      if (signal.aborted || draining || closing) return NONE
      const { found, waitMs } = hand(max)
      if (found.length > 0) return found
      const left = until - clock.now()
      if (left <= 0) {
        await prove(signal)
        return NONE
      }
      await bell.heard(Math.min(left, waitMs), signal)
      // What came with it in one piece is handed over in one piece.
      await clock.turn()
    }
  }
  /** Nothing came: whether the broker is there, and this member in its group, has to be asked. */
  const prove = async (signal: AbortSignal): Promise<void> => {
    const since = ownership.waitingSince
    const limitMs = settings.sessionTimeoutMs + settings.handoverMs
    if (since !== undefined && clock.now() - since > limitMs)
      throw feedBroken(`Group '${layout.group(group)}' has not let this member in for ${limitMs} ms.`)
    await client.connect({ signal })
  }
  const backlog = async (by: Call): Promise<number | null> => {
    if (ownership.phase !== 'steady') return null
    const main = await client.admin.offsets(layout.topic, by)
    const ends = new Map(main.map(({ partition, end }) => [partition, end]))
    let sum = 0
    for (const lane of lanes.values()) {
      const wait = waitOf(lane, clock)
      if (wait === 0) sum += lane.delayMs === 0 ? lane.ledger.buffered.count : 1
      const ahead = lane.delayMs > 0 ? 0n : (ends.get(lane.partition) ?? 0n) - lane.ledger.fetched
      if (ahead > 0n) sum += Number(ahead)
    }
    return sum
  }

  const commitAgain = (): void => {
    if (closing) return
    timer = clock.timer(settings.commitMs, () => {
      const work = ownership.phase !== 'joining' ? commits.flush() : Promise.resolve()
      work.catch(commitFailed).finally(commitAgain)
    })
  }
  let timer: { cancel(): void } | undefined
  const commitFailed = (error: unknown): void => {
    // A membership that is gone is told; what may work the next time is tried then.
    if (!PolybusError.is(error, 'LEASE_LOST') && PolybusError.is(error) && !error.retryable) breakUp(error)
  }
  const close = async (): Promise<void> => {
    timer?.cancel()
    wake()
    draining = true
    if (ownership.phase !== 'joining' && !broken)
      // Without it what was finished last is delivered again.
      await within(clock, CLOSE_MS, undefined, commits.flush()).catch(() => undefined)
    broken ??= feedBroken('The feed is closed.')
    ownership.end()
    for (const lane of lanes.values()) {
      lane.lost = true
      void lane.transaction?.producer.close()
    }
    life.abort(broken)
    const id = member ? await member.stop() : formerId
    if (id !== undefined) orphans.push(id)
  }

  const formerId = orphans.pop()
  try {
    member = await client.join(
      {
        formerId,
        group: layout.group(group),
        topics: layout.topics(group),
        sessionTimeoutMs: settings.sessionTimeoutMs,
        rebalanceTimeoutMs: settings.sessionTimeoutMs + settings.handoverMs,
        heartbeatMs: settings.heartbeatMs,
        maxWaitMs: FETCH_WAIT_MS,
        maxBytesPerPartition: FETCH_BYTES,
        events: ownership.events,
      },
      call,
    )
    ownership.setMember(member)
    if (call.signal.aborted) breakUp(aborted())
    if (broken) throw broken
  } catch (error) {
    breakUp(error)
    await close()
    // What went wrong while it joined says more than that it did not join.
    throw broken ?? error
  }
  commitAgain()

  return {
    group,
    channel: source.channel.name,
    owned: () => (ownership.phase === 'steady' ? [...lanes.values()] : []),
    receive,
    async settle(batch, by) {
      if (by.signal.aborted) throw aborted('no')
      return settle(batch, by)
    },
    state: () => ({
      connected: broken === undefined,
      lanes: [...lanes.values()].filter(({ delayMs }) => delayMs === 0).map(({ name }) => name),
      buffered: [...lanes.values()].reduce((sum, { ledger }) => sum + ledger.buffered.count, 0),
    }),
    backlog,
    drain() {
      draining = true
      wake()
      for (const lane of lanes.values()) lane.paused = true
      member?.pause([...lanes.values()])
      return Promise.resolve()
    },
    close: () => (closing ??= close()),
    rewind: (positions) => ownership.move(positions),
    local: () =>
      [...lanes.values()].map(({ topic, partition, ledger }) => ({
        topic,
        partition,
        position: ledger.position,
        open: ledger.open.count,
      })),
  }
}
