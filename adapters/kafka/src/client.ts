// THE INNER SEAM: the few calls that this adapter makes of a Kafka client. Types only. engine/ answers it, over the
// connections and requests of a library (engine/wire.ts): kafkajs/ is one. All else knows this file.
//
// Offsets are bigint. Every rejection is a PolybusError, mapped by the client: one that concerns a produce says in `sent`
// whether the records can be on the broker. Every call ends within the client's own time-outs, and an abort ends its wait.
import type { Call, Result } from '@polybus/core'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** The next offset to read or to run: what Kafka calls a committed offset. */
export interface Position extends TopicPartition {
  readonly offset: bigint
  /** At most 4,096 bytes: the broker refuses the whole commit else. */
  readonly metadata?: string
}

/** A name may stand more than once; the order is kept. A text is UTF-8 on the wire. */
export type RecordHeader = readonly [name: string, value: Uint8Array | string]
export type RecordHeaders = readonly RecordHeader[]

export interface NewRecord {
  readonly key: Uint8Array | null
  /** Null is a tombstone. */
  readonly value: Uint8Array | null
  readonly headers: RecordHeaders
  /** Milliseconds since 1970. Undefined: now. */
  readonly timestamp?: number
}

export interface KafkaRecord extends TopicPartition {
  readonly offset: bigint
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  /** Values that are UTF-8 come as texts. */
  readonly headers: RecordHeaders
  /** Of key, value and headers. */
  readonly bytes: number
}

/** Of one partition, in order; offsets have gaps. */
export interface Records extends TopicPartition {
  /** May be empty: then only markers or aborted records were there. */
  readonly records: readonly KafkaRecord[]
  /** The last offset that was looked at, markers included. */
  readonly lastOffset: bigint
  /** Where the partition ends for a reader: the offset that comes next. */
  readonly highWatermark: bigint
}

export interface Client {
  /** Connects, or proves that the connection answers: a metadata call each time. */
  connect(call: Call): Promise<void>
  readonly admin: Admin
  /** Idempotent, all replicas have to confirm. Each has connections of its own: one does not wait for another. */
  producer(): Producer
  /** Many of them share a few connections; nothing is asked before `initialise` or `begin`. */
  transactional(transactionalId: string): TransactionalProducer
  /** Resolves when the first assignment is here (and `onAssigned` answered), within the call's limit. */
  join(options: JoinOptions, call: Call): Promise<Member>
  /**
   * Without a group: up to `limit` records from the offset on, of committed transactions only, and no more than one fetch
   * brings: fewer than `limit` is not the end. `lastOffset` is where the next read goes on: behind it. None: the partition
   * ends there; never waits for new ones.
   * @throws {PolybusError} `TOPOLOGY_MISSING` where the topic is gone.
   */
  read(from: Position, limit: number, call: Call): Promise<Records>
  /** Ends everything that came of it. Twice is harmless. */
  close(): Promise<void>
  /** The library's own object, for what Polybus does not do; undefined where it has none. */
  readonly native: unknown
}

/** Records of one partition: the broker takes them all, in this order, or none. Its size has to fit the topic's `max.message.bytes`. */
export interface Batch extends TopicPartition {
  readonly records: readonly NewRecord[]
  /** About what they take, where that is known. */
  readonly bytes?: number
}

export interface Producer {
  /**
   * One result a batch, in its place; never rejects. The value is the offset of its first record, undefined where the broker
   * only says that it has it. One batch a partition is under way at a time. Where an answer is lost the same batch goes again
   * while the call lasts, and the broker writes it once; what stays uncertain (`sent: 'unknown'`) is followed by a new
   * producer id. An error with `sent: 'no'`: nothing of the batch is on the broker.
   *
   * Errors: `MESSAGE_TOO_LARGE` (the batch as a whole), `TOPOLOGY_MISSING`, `ACCESS_DENIED`, `CONNECTION_FAILED`, …
   */
  produce(batches: readonly Batch[], call: Call): Promise<readonly Result<bigint | undefined>[]>
  close(): Promise<void>
}

/**
 * Everything between `begin` and `commit` counts together or not at all. One transaction at a time. Where another producer has
 * the id, every call rejects with `LEASE_LOST`, for good: Kafka does not check the generation of who sends positions (in the
 * versions of TxnOffsetCommit that every supported broker has), so the id is the only fence.
 */
export interface TransactionalProducer {
  /**
   * Shuts out who had the id before, and ends what was left open: committed positions are stable afterwards, and are to be read
   * then. `begin` does it where it is needed.
   */
  initialise(call: Call): Promise<void>
  begin(call: Call): Promise<void>
  /** To any topics. Rejects where one batch fails: only `abort` can follow. */
  produce(batches: readonly Batch[], call: Call): Promise<void>
  /** The group's positions. */
  sendOffsets(group: string, positions: readonly Position[], call: Call): Promise<void>
  /**
   * @throws {PolybusError} `sent: 'unknown'` where it may be committed: after `initialise` the committed positions tell. With
   *   `sent: 'no'` it certainly is not.
   */
  commit(call: Call): Promise<void>
  abort(call: Call): Promise<void>
  close(): Promise<void>
}

export interface TopicInfo {
  readonly topic: string
  readonly partitions: readonly PartitionInfo[]
}
export interface PartitionInfo {
  readonly partition: number
  /** Null while there is none. */
  readonly leader: number | null
  readonly replicas: readonly number[]
}
export interface NewTopic {
  readonly topic: string
  readonly partitions: number
  /** Undefined: the broker's default. */
  readonly replicationFactor: number | undefined
  readonly config: Readonly<Record<string, string>>
}
export interface ConfigEntry {
  readonly name: string
  readonly value: string | null
}
export interface Range {
  readonly partition: number
  /** Of the first record that is still there. */
  readonly begin: bigint
  /** Of the next record to come. */
  readonly end: bigint
}

export interface Admin {
  /** Their numbers. */
  brokers(call: Call): Promise<readonly number[]>
  /** Of those that exist, by name; never creates one. Fresh, not from a cache. */
  topics(names: readonly string[], call: Call): Promise<ReadonlyMap<string, TopicInfo>>
  /** Resolves when all have leaders. One that exists already is no error. */
  createTopics(topics: readonly NewTopic[], call: Call): Promise<void>
  /** What tells a topic from a later one of its name; none where the broker is too old to say (Kafka before 3.1). */
  topicIds(names: readonly string[], call: Call): Promise<ReadonlyMap<string, string>>
  topicConfig(topic: string, call: Call): Promise<readonly ConfigEntry[]>
  brokerConfig(node: number, call: Call): Promise<readonly ConfigEntry[]>
  /** `open`: with what a transaction that is not decided yet has written. */
  offsets(topic: string, call: Call, open?: 'open'): Promise<readonly Range[]>
  /** Of the first record that is not older, or the end. Milliseconds since 1970. */
  offsetsAt(topic: string, time: number, call: Call): Promise<readonly Position[]>
  /** Of those partitions that have one. */
  committed(group: string, topics: readonly string[], call: Call): Promise<readonly Position[]>
  /** For a group without members. @throws {PolybusError} `BROKER_REFUSED` where it has some. */
  commitFor(group: string, positions: readonly Position[], call: Call): Promise<void>
  /** Everything before these offsets goes. */
  deleteRecords(positions: readonly Position[], call: Call): Promise<void>
  /** How many members a group has; one that there is not has none. */
  members(group: string, call: Call): Promise<number>
}

/** What a member owns, from one rebalance to the next. */
export interface Assignment {
  readonly memberId: string
  readonly generation: number
  /** All of them, those that it had before included. */
  readonly partitions: readonly TopicPartition[]
}

/** Callbacks never throw; what they take time for holds nobody's heartbeat. */
export interface MemberEvents {
  /**
   * A generation begins. Nothing is fetched before it answered where to begin, and for every partition anew: what was paused
   * is not, what was fetched before does not come any more. A partition without an answer is not fetched at all.
   */
  onAssigned(assignment: Assignment): Promise<readonly Position[]>
  /** Before the member joins anew. Its partitions are still its own, commits work, and it goes on heartbeating until this resolves. */
  onRevoking(assignment: Assignment): Promise<void>
  /** The membership is gone: fenced, session over, another member id. Others may own everything by now. It joins anew by itself. */
  onLost(assignment: Assignment): void
  /** Called at most once at a time for a partition. Returns at once. */
  onRecords(batch: Records): void
  /** Now and then while partitions are owned: time to look whether their topics are still the same. */
  onCheck(): void
  /** The broker no longer has this offset, or not yet. The partition is not fetched any more until `seek`. */
  onOutOfRange(position: Position): void
  /** It ended, and not by `stop`. Nothing follows. */
  onDead(error: Error): void
}

export interface JoinOptions {
  readonly group: string
  /** The id of a member that could not leave: the group then need not wait until its session is over. */
  readonly formerId?: string | undefined
  /** The same for every member of the group. @throws {PolybusError} `TOPOLOGY_MISSING` from `join` where one is missing. */
  readonly topics: readonly string[]
  readonly sessionTimeoutMs: number
  /** How long a rebalance waits for a member. */
  readonly rebalanceTimeoutMs: number
  readonly heartbeatMs: number
  /** How long a fetch waits for new records. */
  readonly maxWaitMs: number
  readonly maxBytesPerPartition: number
  readonly events: MemberEvents
}

export interface Member {
  /** Undefined before the first and between two: while it joins, and after it is lost. */
  assignment(): Assignment | undefined
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  /** The next record to come of this partition; what was fetched of another place does not come any more. */
  seek(position: Position): void
  /**
   * Under exactly this assignment: it rejects with `LEASE_LOST` if another one began, or the broker says so. It is never
   * repeated under a later one: the broker would take positions of a partition that is not ours any more.
   */
  commit(assignment: Assignment, positions: readonly Position[], call: Call): Promise<void>
  /**
   * Ends fetching and leaves the group, so that others need not wait for the session to run out. Bounded. Twice is harmless.
   * Answers the member's id where the group may not know that it left.
   */
  stop(): Promise<string | undefined>
}
