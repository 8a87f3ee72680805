// THE SEAM. An adapter moves bytes, maps errors and reports limits; it never decodes, dedupes, applies a policy or
// decides a retry. Types only. Why it is as it is: docs/decisions/0001-seam.md.
import type { Clock } from './clock.ts'
import type { PolybusError } from './errors.ts'
import type { Headers, WireMessage } from './message.ts'

/** Partial failure is a value, one an entry; total failure throws a {@link PolybusError}. */
export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: PolybusError }

/**
 * Every call that may wait takes one. An abort ends the wait, not necessarily what was begun: a `send` whose bytes left is
 * then uncertain, and a `receive` resolves with what it was handed. Many calls may share a signal: whoever listens to it stops
 * when the call has ended.
 */
export interface Call {
  readonly signal: AbortSignal
}

export interface ConnectCall extends Call {
  /** Isolates tests and preview environments on one broker: a prefix of every native name. */
  readonly namespace: string | undefined
  /** The value of CloudEvents `source`, for client ids. */
  readonly service: string
  /** `verify` and `none`: nothing may be created, by `subscribe` neither. */
  readonly topology: 'create' | 'verify' | 'none'
  /** For an adapter that notices unasked that this connection is gone: a bus that is idle would not, and its health would be wrong. */
  readonly onLost?: (error: PolybusError) => void
}

/** A channel as adapters know it. */
export interface ChannelSpec {
  readonly name: string
  /** Messages have keys, and the order of a key is promised. */
  readonly keyed: boolean
  /** Lanes to create; undefined: the adapter's default. */
  readonly partitions: number | undefined
  /** Declared groups: they exist, and get every message, before any consumer runs. */
  readonly groups: readonly string[]
  /** Largest message, as {@link Adapter.size} counts. */
  readonly maxBytes: number
}

/** What an adapter can do for one channel on this server. Code, docs and the conformance suite read this same record. */
export interface Capabilities {
  /** Same key, same order, one owner at a time. */
  readonly ordering: boolean
  /** `any`: a group may come later; `declared`: publishing needs the channel's declared groups. */
  readonly groups: 'any' | 'declared'
  /** What a new group may ask for. */
  readonly from: readonly ('beginning' | 'end')[]
  /** How a delay of a group destination is kept: `exact` up to `maxMs` a hop (in steps of `stepMs`, rounded up, where the broker counts so: what is shorter is held), by the ladder of core, or not at all. */
  readonly delay:
    | { readonly kind: 'exact'; readonly maxMs: number; readonly stepMs?: number }
    | { readonly kind: 'ladder' }
    | { readonly kind: 'none' }
  /** Copy and finish in one step, or one after the other (a crash between leaves two copies with one id). */
  readonly move: 'atomic' | 'copy-then-ack'
  /** `prefix`: a log's position; a crash may deliver again what was settled behind an unfinished message. */
  readonly settlement: 'single' | 'prefix'
  /** `ms`: how long a delivery is ours unless extended; null: as long as the connection or the ownership of its lane lasts. */
  readonly lease: { readonly ms: number | null; readonly renewable: boolean; readonly maxHoldMs: number | null }
  /** Whether a settlement that comes too late is answered with `LEASE_LOST`. */
  readonly lateSettle: 'always' | 'sometimes' | 'never'
  /** `Delivery.count` stops a message that kills its process, at so many hand-overs above the attempts; null: there is no count. */
  readonly crashGuard: number | null
  /** `release` keeps the headers given to it, so that a held retry's count outlives its process. */
  readonly releaseHeaders: boolean
  /** Entries of one key in one `send` are written in order, and none behind one that failed. Otherwise core sends one of a key at a time. */
  readonly orderedBatch: boolean
  readonly headers: {
    readonly ordered: boolean
    readonly duplicates: boolean
    readonly empty: boolean
    readonly binary: boolean
  }
  /** Null bodies. */
  readonly tombstones: boolean
  /** The broker's own limit; null: none below what memory holds. */
  readonly maxBytes: number | null
  /** `exclusive`: while a session is open others see nothing. */
  readonly browse: 'cursor' | 'exclusive' | 'none'
  readonly rewind: readonly ('beginning' | 'end' | 'position' | 'time')[]
  /** How far each number of {@link Stats} can be believed; null: it is null. */
  readonly stats: { readonly [K in keyof Stats]: 'exact' | 'estimate' | null }
  /** Messages outlive the process that published them. */
  readonly persistent: boolean
  readonly transactional: boolean
  /** All groups of the channel get what has a higher {@link Outgoing.priority} first. */
  readonly priority: boolean
  readonly delayedPublish: boolean
  /** Groups are shared by several processes. */
  readonly processes: boolean
  /** The broker checks who connects. */
  readonly credentials: boolean
}

/** Limits of `send` that hold for the whole adapter. */
export interface SendLimits {
  readonly messages: number
  readonly bytes: number
  /** How many `send` calls may be under way at once. */
  readonly concurrency: number
}

export type Destination =
  /** To every group. */
  | { readonly kind: 'channel'; readonly channel: string }
  /** Retry and replay: that group alone, not before the delay. 0 is as soon as the broker can. */
  | { readonly kind: 'group'; readonly channel: string; readonly group: string; readonly delayMs: number }
  | { readonly kind: 'dead-letter'; readonly channel: string; readonly group: string }

export interface Outgoing {
  /** New for each logical hand-over, the same when core sends again: for brokers that deduplicate what they are sent. */
  readonly handover: number
  readonly message: WireMessage
  readonly to: Destination
  /** Only these: fan-out by hand, and the retry of the groups still missing. */
  readonly groups?: readonly string[]
  /** Higher goes first, 0 to 255, as far as the broker tells so many apart. Only where {@link Capabilities.priority} is true; absent: the broker's default. */
  readonly priority?: number
}

export interface Receipt {
  readonly position?: string
  /** Groups not reached yet: core sends again to these alone. */
  readonly missing?: readonly { readonly group: string; readonly error: PolybusError }[]
}

export interface Source {
  readonly channel: ChannelSpec
  readonly group: string
  readonly from: 'beginning' | 'end'
  /** What the driver may hold a lease on, in messages and in bytes (as far as the broker lets it choose: one receive may overshoot). */
  readonly maxInFlight: number
  readonly maxBytes: number
  /** An ack's result must mean that the broker has it for good (at-most-once); else it may mean that it is handed over. */
  readonly durable: boolean
  /**
   * Settlements with all that they publish (`outputs`, copies of moves) happen together or not at all, and readers see neither
   * before. A result may still mean that it is handed over: what is lost before it happened is delivered again.
   */
  readonly transactional?: boolean
  /**
   * Ownership is gone: rebalance, closed channel, a lease that ran out. May come after another member started. Where one
   * delivery of an ordered lane is lost, the later ones of that lane are lost with it. A delivery that comes back to its own
   * holder is lost first. Harmless for what was settled.
   */
  onLost(tokens: readonly unknown[]): void
  /**
   * Ownership is about to move: core starts none of these, gives back what waits, lets what runs finish and settles it.
   * Resolves when none is held; the driver waits for it within its own bound, then hands the lane over.
   */
  onRevoke(tokens: readonly unknown[]): Promise<void>
}

export interface Delivery {
  readonly message: WireMessage
  /** Made for this hand-over, where it is an object; another value may come again when the broker hands the message out again. */
  readonly token: unknown
  readonly lane: string
  readonly position: string
  /** The broker's own count of hand-overs, this one included: a crash guard, never the attempt number. */
  readonly count: number | null
  /** What remains of the lease, counted from when it was asked for; core takes the delivery as lost when it is over. Null: see `lease.ms`. */
  readonly leaseMs: number | null
}

export type Settlement = { readonly token: unknown } &
  /** `outputs`: to be published with it, of a transactional source alone; all of them to channels. */
  (
    | { readonly kind: 'ack'; readonly outputs?: readonly Outgoing[] }
    /**
     * Put a copy there, then finish here. Without `message` the native original goes, byte for byte. The copy's `polybus-*`
     * headers are exactly `headers`; all other headers stay as they are. After a failure core repeats it: a driver that notes
     * on the token that the copy is confirmed then only finishes.
     */
    | { readonly kind: 'move'; readonly to: Destination; readonly headers: Headers; readonly message?: WireMessage }
    /** Give it back unfinished, not counted where possible. Only at a stop or a revoke, all that core holds of a lane in one call; the driver orders them. `headers`: see `releaseHeaders`. */
    | { readonly kind: 'release'; readonly headers?: Headers }
  )

export interface Feed {
  /** So many it gives out unsettled at most, where that is less than was asked for: a batch need not wait for more. */
  readonly most?: number
  /**
   * Pull, one call at a time, only with room. Waits up to about a second, serves lanes in turn. Empty means that the broker
   * said so: a silent broker rejects within seconds. Rejects when the feed is broken; it is then closed and made anew.
   */
  receive(max: number, call: Call): Promise<readonly Delivery[]>
  /** Any order, one result an entry. A late settlement answers `LEASE_LOST`, as `lateSettle` says; tokens are good as long as their lane is ours. */
  settle(batch: readonly Settlement[], call: Call): Promise<readonly Result<void>[]>
  /** One more lease each; answers what then remains in ms. An answer that comes while the delivery is being settled means nothing. */
  extend?(tokens: readonly unknown[], call: Call): Promise<readonly Result<number>[]>
  /** `lanes` that this member owns, null where nothing is assigned; `buffered`: fetched ahead, not yet received. */
  state(): { readonly connected: boolean; readonly lanes: readonly string[] | null; readonly buffered: number }
  /** Deliverable messages in lanes that this member owns: what tells a stall from an idle or a standby member. Null where unknowable. */
  backlog?(call: Call): Promise<number | null>
  /** A stop begins: fetch no more and give back what is buffered; settling still works. */
  drain?(call: Call): Promise<void>
  /** Gives back what is still unsettled, also what a receive on its way brings. */
  close(): Promise<void>
}

export interface TopologyChange {
  readonly kind: string
  readonly name: string
  readonly text: string
}

export interface TopologyFacet {
  /** What is missing, and what is there but different. Conflicts are reported, never overwritten. */
  plan(
    channels: readonly ChannelSpec[],
    call: Call,
  ): Promise<{ readonly changes: readonly TopologyChange[]; readonly conflicts: readonly TopologyChange[] }>
  apply(changes: readonly TopologyChange[], call: Call): Promise<void>
}

/** Null where this broker can't tell: never a wrong 0. */
export interface Stats {
  readonly backlog: number | null
  readonly inFlight: number | null
  readonly oldestAgeMs: number | null
  readonly deadLetters: number | null
}

export interface StatsFacet {
  read(channel: ChannelSpec, group: string, call: Call): Promise<Stats>
}

export interface RawDeadLetter {
  readonly position: string
  readonly message: WireMessage
}

/** A look at dead letters; positions are valid in their session only. Some brokers have no cursor: a session holds what it showed and gives it back at `close`. */
export interface BrowseSession {
  /** Oldest first; empty: nothing more for this session. */
  next(limit: number, call: Call): Promise<readonly RawDeadLetter[]>
  /** Not listed again; on a log the record may stay. */
  remove(positions: readonly string[], call: Call): Promise<readonly Result<void>[]>
  close(): Promise<void>
}

export interface BrowseFacet {
  open(channel: ChannelSpec, group: string, call: Call): Promise<BrowseSession>
}

export type RewindTarget =
  | { readonly kind: 'beginning' }
  | { readonly kind: 'end' }
  | { readonly kind: 'position'; readonly position: string }
  | { readonly kind: 'time'; readonly time: number }

export interface RewindFacet {
  /** Moves a group. Deliveries on their way are lost to their owners. */
  rewind(channel: ChannelSpec, group: string, to: RewindTarget, call: Call): Promise<void>
}

/** Something on the server that can lose messages: retention, replication, fsync, trimming, eviction. */
export interface Hazard {
  readonly kind: string
  readonly text: string
}

/** What core drives. Factories return plain objects: `memory()`, `kafka({ … })`. */
export interface Adapter {
  readonly name: string
  /** The version of this interface that the adapter was written for. */
  readonly seam: 1
  /** Who owns time, where the adapter brings its own (virtual time in tests); else core's system clock. */
  readonly clock?: Clock
  readonly limits: SendLimits
  /** How much longer than `connectTimeout` a channel's set-up and a subscribe may each take at a start, in milliseconds, where groups wait: for members that leave or are gone, or for their coordinator. */
  readonly joinMs?: number
  /** Valid after `connect`: they depend on queue type and server version. */
  capabilities(channel: ChannelSpec): Capabilities
  /** Connects, or proves that the connection answers (a round trip: a half-open socket must not pass). Called again after every failure. */
  connect(call: ConnectCall): Promise<void>
  /** Bytes as this broker counts them, headers included. */
  size(message: WireMessage): number
  /** One result an entry; any destination. */
  send(batch: readonly Outgoing[], call: Call): Promise<readonly Result<Receipt>[]>
  subscribe(source: Source, call: Call): Promise<Feed>
  close(): Promise<void>
  hazards?(channel: ChannelSpec, call: Call): Promise<readonly Hazard[]>
  readonly topology?: TopologyFacet
  readonly stats?: StatsFacet
  readonly browse?: BrowseFacet
  readonly rewind?: RewindFacet
}
