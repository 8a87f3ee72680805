// How a member gets its entries: from the one lane that a plain channel has (plain.ts), or from lanes that it owns (lanes.ts).
import type { Clock } from '@polybus/core'
import type { Link } from './connection.ts'
import type { Packed } from './fields.ts'
import type { Layout } from './layout.ts'
import type { Settings } from './options.ts'

/** An entry that is ours now. */
export interface Found {
  /** `r`: it came to this group alone. */
  readonly where: 'r' | 'm'
  readonly lane: number
  readonly id: string
  readonly fields: Packed
  readonly count: number
  readonly note: string | null
}

export interface Reader {
  start(signal: AbortSignal): Promise<void>
  /** What is there now, `max` at most. It was the server that said so. */
  read(max: number): Promise<readonly Found[]>
  /** After a read that found nothing: behind which entries new ones would stand, and how soon to look in any case. */
  readonly after: ReadonlyMap<string, string>
  readonly lookAgainMs: number
  /** Lanes that this member owns; null where nothing is assigned. */
  readonly lanes: readonly number[] | null
  /** Whether what it holds may still be settled; false after it has told the feed what is lost. */
  valid(): boolean
  /** Some of a lane went back while the lane stays. */
  returned(lane: number): void
  /** This member moved something, or gave it back: there may be something to read besides what is new. */
  changed(): void
  /** Before anything is given back for good. */
  stop(): void
  /** Lanes go to others. */
  leave(): Promise<void>
}

export interface Member {
  readonly link: Link
  readonly clock: Clock
  readonly settings: Settings
  readonly layout: Layout
  readonly group: string
  /** The consumer's name in Redis. */
  readonly name: string
  /** Names under which this process held entries over connections that are gone. */
  readonly orphans: readonly string[]
  /** The group was moved: nothing that was delivered before is ours. */
  rewound(): void
  /** These lanes are gone, with all that was delivered from them. */
  lostLanes(lanes: readonly number[]): void
  /** A lane is asked back: resolves when nothing of it is held, or when waiting longer makes no sense. */
  handOver(lane: number): Promise<void>
  /** There may be something to read. */
  nudge(): void
  /** Earlier names that hold nothing more. */
  adopted(names: readonly string[]): void
}
