// What the broker holds. Types only: log.ts, lanes.ts and members.ts are the operations on them.
import type { Capabilities, Clock, Delivery, Outgoing, PolybusError, Source, WireMessage } from '@polybus/core'

/** One reading of the clock for a whole batch: messages share it instead of holding two numbers each. */
export interface Stamp {
  readonly now: number
  readonly wall: number
}

/** A stored message: in the log of a partition, or in one group's own queue (retries, replays). */
export interface Entry {
  readonly message: WireMessage
  /** Order of writing, over all of the channel. */
  readonly seq: number
  readonly offset: number
  readonly stamp: Stamp
  readonly bytes: number
  readonly partition: Partition
  /** In a group's own queue, from `dueAt` on (whole milliseconds of the clock). */
  readonly queued: boolean
  readonly dueAt: number
  /** Groups that have not finished it. */
  remaining: number
  /** Stands in the channel's list of finished entries. */
  listed: boolean
  previous: Entry | undefined
  next: Entry | undefined
  nextFinished: Entry | undefined
}

export interface Partition {
  readonly index: number
  readonly text: string
  readonly lanes: Lane[]
  nextOffset: number
  head: Entry | undefined
  tail: Entry | undefined
}

export interface Channel {
  /** As in the specification; the broker's own name has the namespace before it. */
  readonly name: string
  readonly keyed: boolean
  readonly partitions: readonly Partition[]
  readonly groups: Map<string, Group>
  /** A group declared here that is gone holds all messages back until it is made again. */
  readonly declared: Set<string>
  deleted: boolean
  seq: number
  turn: number
  kept: number
  keptBytes: number
  unfinished: number
  unfinishedBytes: number
  firstFinished: Entry | undefined
  lastFinished: Entry | undefined
}

/** What a group remembers of a message that came back: few at any time. */
export interface Mark {
  count: number
  /** Stands for the message, since a release changed its headers. */
  message: WireMessage | undefined
}

export interface Letter {
  readonly position: string
  readonly message: WireMessage
  readonly stamp: Stamp
}

export interface Group {
  readonly name: string
  readonly channel: Channel
  readonly lanes: Lane[]
  /** Lanes have one owner each; else all members share all lanes message by message. */
  readonly owned: boolean
  readonly marks: Map<Entry, Mark>
  readonly letters: Map<string, Letter>
  members: Member[]
  /** Crashed members whose leases still run. */
  readonly ghosts: Set<Member>
  deleted: boolean
  queued: number
  queueSeq: number
  letterSeq: number
  turn: number
}

/** One partition for one group. */
export interface Lane {
  readonly group: Group
  readonly partition: Partition
  /** Waits for its time. */
  readonly delayed: Heap
  /** Came back, to be handed over before everything else; sorted from the latest when `sorted`. */
  readonly returned: Entry[]
  sorted: boolean
  owner: Member | undefined
  /** About to leave its owner, who lets what runs finish. */
  revoked: boolean
  /** The first entry of the log that was not handed over yet, and how many there are. */
  next: Entry | undefined
  waiting: number
  inFlight: number
  /** Leased to a crashed member: an owned lane stands still until they are over. */
  orphans: number
  /** Sets the timer for what falls due next. */
  readonly arm: () => void
  /** Prefix settlement: the first unfinished entry (undefined: `next`), and those finished behind it. */
  frontier: Entry | undefined
  readonly ahead: Set<Entry>
  /** Prefix settlement: durable acknowledgements that wait for the frontier. */
  readonly durable: Map<Entry, (done: boolean) => void>
}

/** A delivery, which is its own token. */
export interface Handed extends Delivery {
  token: unknown
  readonly entry: Entry
  readonly from: Lane
  readonly member: Member
  live: boolean
  /** The first half of a move that is not atomic is done. */
  copied: boolean
  readonly handOvers: number
  dueAt: number
  previous: Handed | undefined
  next: Handed | undefined
}

/** Entries by the time at which they are due, then by order of writing. */
export interface Heap {
  readonly items: readonly Entry[]
  push(entry: Entry): void
  pop(): Entry | undefined
}

/** What one member holds, by deadline. Unlike core's deadlines it can be walked: that is how a lane is lost. */
export interface Leases {
  readonly first: Handed | undefined
  add(handed: Handed, dueAt: number): void
  remove(handed: Handed): void
  /** No timer is left behind. */
  stop(): void
}

/** The broker's side of a feed. */
export interface Member {
  readonly group: Group
  readonly source: Source
  readonly leases: Leases
  /** Owned, or all of the group. */
  lanes: Lane[]
  inFlight: number
  bytes: number
  turn: number
  /** It is dead, and its leases run out by themselves. */
  crashed: boolean
  /** It stops: nothing more is delivered. */
  draining: boolean
  /** Why it gets nothing any more. */
  broken: PolybusError | undefined
  /** Something may have become deliverable. */
  wake: () => void
  /** It gets nothing any more, and who waits is told. */
  end: (error: PolybusError) => void
  /** Asks for what is held of a lane that is about to move. */
  revoke: (tokens: readonly Handed[]) => Promise<void>
  /** Tells the client about lost deliveries, as soon as it can hear. */
  lost: (tokens: readonly Handed[]) => void
}

export interface Limits {
  readonly retention: number
  readonly retentionBytes: number
  readonly maxBacklog: number
  readonly maxBacklogBytes: number
  readonly leaseMs: number | null
}

/** Each `false` takes one ability away, so that core's emulations can be tried without a network. */
export interface MemoryAbilities {
  /** Exact delays; without: the rungs of core's ladder alone. */
  readonly delay: boolean
  /** Without: a copy is written first, and the original finished in a second step. */
  readonly atomicMove: boolean
  /** Without: lanes are settled by position, as in a log. */
  readonly singleSettle: boolean
  /** Leases can be extended. */
  readonly renew: boolean
  /** Deliveries are counted. */
  readonly count: boolean
  /** `release` keeps the headers given to it. */
  readonly releaseHeaders: boolean
  /** Entries of one key are written in the order of the batch, and none behind one that failed. */
  readonly orderedBatch: boolean
}

export interface Broker {
  readonly name: string | undefined
  readonly clock: Clock
  readonly limits: Limits
  readonly abilities: MemoryAbilities
  readonly capabilities: Capabilities
  readonly channels: Map<string, Channel>
  readonly faults: FaultState
}

export interface FaultState {
  down: boolean
  paused: boolean
  stalled: boolean
  lateMs: number
  loseAnswers: number
  readonly refusals: Set<(outgoing: Outgoing) => PolybusError | undefined>
  readonly connections: Set<Connection>
  /** What to do at `resume`, in order. */
  readonly buffer: (() => void)[]
}

/** One adapter's connection. */
export interface Connection {
  /** Set when it is dead, for good: `connect` makes a new one. */
  dead: PolybusError | undefined
  readonly members: Set<Member>
  /** Calls that wait: told when the connection dies. */
  readonly waiting: Set<(error: PolybusError) => void>
  /** Core's, to be told that it is dead. */
  onLost: ((error: PolybusError) => void) | undefined
}
