// Which partitions this member owns, from one rebalance to the next, and what happens to deliveries when that changes.
import { type Call, LADDER_MS, PolybusError, type Source } from '@polybus/core'
import type { Assignment, Member, MemberEvents, Position, TopicPartition } from './client.ts'
import { type Commits, createCommits, type Owned } from './commits.ts'
import { feedBroken } from './errors.ts'
import { createLane, type Lane, type Passed, regulateAll, type Token, type Transaction } from './lane.ts'
import type { Layout } from './layout.ts'
import { createLedger, type Entry } from './ledger.ts'
import { placeOf } from './names.ts'
import { bytesOf } from './outputs.ts'
import type { OffsetRange } from './ranges.ts'
import type { Session } from './session.ts'
import { isOther } from './stamp.ts'
import { elsewhere, startsOf } from './start.ts'
import { createTransactions } from './transactions.ts'
import { within } from './wait.ts'

/** `revoking`: nothing is handed out, and what is settled is still committed. `joining`: nothing is committed either. */
export type Phase = 'steady' | 'revoking' | 'joining'

export interface Ownership {
  readonly events: MemberEvents
  readonly lanes: ReadonlyMap<string, Lane>
  readonly commits: Commits
  readonly phase: Phase
  /** By the clock, since when nothing is assigned; undefined: something is. */
  readonly waitingSince: number | undefined
  setMember(member: Member): void
  /** Their deliveries are no longer ours. */
  lose(lanes: readonly Lane[]): void
  /** Moves partitions that are owned; their deliveries are lost. Others are left out. */
  move(positions: readonly Position[]): Promise<void>
  /** From now on nothing of what happens matters. */
  end(): void
}

export interface OwnershipOptions {
  readonly session: Session
  readonly layout: Layout
  readonly source: Source
  /** Ends when the feed is closed. */
  readonly call: Call
  /** Something can be handed out, or everything has changed. */
  readonly wake: () => void
  /** Tokens whose lane was lost. */
  readonly dropped: (tokens: readonly Token[]) => void
  readonly breakUp: (error: unknown) => void
  /** A stop begins: what is fetched is of no use. */
  readonly draining: () => boolean
}

export function createOwnership(options: OwnershipOptions): Ownership {
  const { session, layout, source, call, wake, dropped, breakUp } = options
  const { clock, settings } = session
  const delays = new Map(LADDER_MS.map((ms) => [layout.rung(source.group, ms), ms]))
  const lanes = new Map<string, Lane>()
  let member: Member | undefined
  /** The last one, also while the group rebalances. */
  let last: Assignment | undefined
  let phase: Phase = 'joining'
  let waitingSince: number | undefined = clock.now()
  /** Tells a late answer. */
  let round = 0
  let ended = false

  const groupId = layout.group(source.group)
  const owned = (): Owned | undefined =>
    last && phase !== 'joining' ? { assignment: last, lanes: lanes.values() } : undefined
  const commits = source.transactional
    ? createTransactions({ session, groupId, owned, call, breakUp })
    : createCommits({ member: () => member, owned, call })
  const laneAt = (
    place: Pick<Lane, 'topic' | 'partition' | 'topicId'>,
    offset: bigint,
    finished: readonly OffsetRange[],
    own?: Transaction,
  ): Lane => {
    const passed = own && ((entry: Entry): void => void own.passed.push(passedOf(entry)))
    return createLane(place, delays.get(place.topic) ?? 0, createLedger(offset, finished, passed), own)
  }
  /** What a former owner left open is ended by it, and can be committed no more. */
  const openTransaction = async ({ topic, partition }: TopicPartition): Promise<Transaction> => {
    const producer = session.client.transactional(`${groupId}.${topic}.${partition}`)
    await producer.initialise(call)
    return { producer, passed: [], bytes: 0, doubtful: undefined }
  }
  const lose = (list: readonly Lane[]): void => {
    const tokens: Token[] = []
    for (const lane of list) {
      lane.lost = true
      lanes.delete(placeOf(lane))
      tokens.push(...lane.held)
      lane.held.clear()
      void lane.transaction?.producer.close()
    }
    dropped(tokens)
    if (tokens.length > 0) source.onLost(tokens)
  }
  const take = async (assignment: Assignment, mine: number): Promise<void> => {
    const places = assignment.partitions.filter((place) => !lanes.has(placeOf(place)))
    if (places.length === 0) return
    // Before the position is read: it may have been in a transaction that was open.
    const own = source.transactional ? await Promise.all(places.map(openTransaction)) : []
    const starts = await startsOf(session, layout, source, assignment, places, call)
    if (mine !== round) return own.forEach(({ producer }) => void producer.close())
    for (const [index, start] of starts.entries()) {
      const lane = laneAt(start, start.offset, start.finished, own[index])
      lane.dirty = start.chosen
      lanes.set(placeOf(start), lane)
    }
  }
  const settleIn = (): void => {
    if (!member || ended) return
    regulateAll(lanes.values(), member, () => true)
    wake()
    // What fails here is tried again at the next interval, and a membership that is gone is told.
    if ([...lanes.values()].some(({ dirty }) => dirty)) commits.flush().catch(() => undefined)
  }

  const events: MemberEvents = {
    async onRevoking() {
      if (phase !== 'steady' || ended) return
      const mine = ++round
      phase = 'revoking'
      // What is on its way to core has to be there, or it would not be given back.
      await clock.turn()
      const held = [...lanes.values()].flatMap((lane) => [...lane.held])
      // What core still holds after it stays out like after a hand-over that takes too long.
      await within(clock, settings.handoverMs, undefined, source.onRevoke(held)).catch(() => undefined)
      await commits.flush().catch(() => undefined)
      if (mine !== round) return
      phase = 'joining'
      waitingSince = clock.now()
    },
    async onAssigned(assignment) {
      if (ended) return []
      const mine = ++round
      const before = last
      // Who missed a generation cannot know who had its partitions meanwhile.
      const kept = before?.memberId === assignment.memberId && before.generation + 1 === assignment.generation
      const now = new Map(assignment.partitions.map((place) => [placeOf(place), place]))
      lose([...lanes.values()].filter((lane) => !kept || !now.has(placeOf(lane))))
      try {
        await take(assignment, mine)
      } catch (error) {
        breakUp(error)
        return []
      }
      if (mine !== round || ended) return []
      last = assignment
      phase = 'steady'
      waitingSince = undefined
      for (const lane of lanes.values()) lane.paused = false
      // Once the client has the answer.
      void clock.turn().then(settleIn)
      return [...lanes.values()].map(({ topic, partition, ledger }) => ({ topic, partition, offset: ledger.fetched }))
    },
    onLost() {
      round++
      last = undefined
      phase = 'joining'
      waitingSince ??= clock.now()
      lose([...lanes.values()])
    },
    onRecords({ topic, partition, records, lastOffset }) {
      const lane = lanes.get(placeOf({ topic, partition }))
      if (!lane || ended || options.draining()) return
      const before = lane.ledger.position
      lane.ledger.add(records, lastOffset)
      if (lane.ledger.position !== before) lane.dirty = true
      regulateAll(lanes.values(), member, (each) => each === lane)
      wake()
    },
    onCheck() {
      // What cannot be asked now is asked the next time.
      findRemade().then(
        (error) => error && breakUp(error),
        () => undefined,
      )
    },
    onOutOfRange(position) {
      const lane = lanes.get(placeOf(position))
      if (lane) recover(lane, position).catch(breakUp)
    },
    onDead: (error) => breakUp(PolybusError.is(error) ? error : feedBroken('The group member ended.', error)),
  }
  /** A topic that is read was deleted, and another one has its name: its beginning is elsewhere. */
  const findRemade = async (): Promise<PolybusError | undefined> => {
    const ids = await session.client.admin.topicIds([...new Set([...lanes.values()].map(({ topic }) => topic))], call)
    const lane = [...lanes.values()].find(({ topic, topicId }) => isOther(topicId, ids.get(topic)))
    return lane && feedBroken(`The topic '${lane.topic}' was deleted and made anew.`)
  }
  /** The log was cut while it was read. */
  const recover = async (lane: Lane, position: Position): Promise<void> => {
    const ranges = await session.client.admin.offsets(lane.topic, call)
    const range = ranges.find(({ partition }) => partition === lane.partition)
    if (lane.lost || !range) return
    const remade = await findRemade()
    if (remade) throw remade
    // It was there after all: another reader of the log's end, or a leader that was behind.
    if (position.offset >= range.begin && position.offset <= range.end) return member?.seek(position)
    await move([{ ...position, offset: elsewhere(session, groupId, position, range) }])
  }
  const move = async (positions: readonly Position[]): Promise<void> => {
    const mine = round
    for (const position of positions) {
      const lane = lanes.get(placeOf(position))
      if (!lane) continue
      lose([lane])
      const own = source.transactional ? await openTransaction(lane) : undefined
      if (mine !== round) return void own?.producer.close()
      const fresh = laneAt(lane, position.offset, [], own)
      fresh.dirty = true
      lanes.set(placeOf(fresh), fresh)
      member?.seek(position)
      if (lane.paused) member?.resume([fresh])
    }
    await commits.flush()
  }

  return {
    events,
    lanes,
    commits,
    lose,
    move,
    get phase() {
      return phase
    },
    get waitingSince() {
      return waitingSince
    },
    setMember(made) {
      member = made
      settleIn()
    },
    end() {
      ended = true
      round++
    },
  }
}

const passedOf = ({ offset, outputs }: Entry): Passed => ({ next: offset + 1n, outputs, bytes: bytesOf(outputs) })
