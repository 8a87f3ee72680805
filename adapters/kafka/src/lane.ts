// A partition that this member owns: its ledger, who holds what of it, and when it is paused.
import { type Clock, LADDER_MS } from '@polybus/core'
import type { KafkaRecord, Member, TopicPartition, TransactionalProducer } from './client.ts'
import type { Entry, Ledger } from './ledger.ts'
import type { Output } from './outputs.ts'

/** One hand-over. It is good for as long as its lane is ours. */
export interface Token {
  readonly lane: Lane
  readonly entry: Entry
  readonly record: KafkaRecord
  state: 'held' | 'finished' | 'released'
  /** Its move's copy is confirmed: what is left is to finish. */
  copied: boolean
}

/** A finished record that the position has passed, and what goes with it. */
export interface Passed {
  /** The position behind it. */
  readonly next: bigint
  readonly outputs: readonly Output[]
  readonly bytes: number
}

/** Of a transactional source. */
export interface Transaction {
  readonly producer: TransactionalProducer
  /** To be committed, in order. */
  readonly passed: Passed[]
  /** Of all outputs that are not committed yet. */
  bytes: number
  /** The position of a commit whose answer was lost. */
  doubtful: bigint | undefined
}

export interface Lane extends TopicPartition {
  /** Of the topic that its records are of. */
  readonly topicId: string | undefined
  /** For people and core: the partition's number, and the rung's delay before it. */
  readonly name: string
  /** Of a rung: how old a record has to be. */
  readonly delayMs: number
  readonly ledger: Ledger
  readonly transaction: Transaction | undefined
  readonly held: Set<Token>
  /** Others may own it by now. */
  lost: boolean
  paused: boolean
  /** There is something to commit. */
  dirty: boolean
}

export const isGood = ({ lane, state }: Token): boolean => state === 'held' && !lane.lost

/** How much one partition may hold that would run again after a crash. */
const OPEN_COUNT = 10_000
const OPEN_BYTES = 64 * 2 ** 20
/** What a member fetches ahead, in all. */
const AHEAD_COUNT = 20_000
const AHEAD_BYTES = 16 * 2 ** 20
const LEAST_COUNT = 100
const LEAST_BYTES = 256 * 2 ** 10

export function createLane(
  { topic, partition, topicId }: TopicPartition & { readonly topicId?: string | undefined },
  delayMs: number,
  ledger: Ledger,
  transaction: Transaction | undefined,
): Lane {
  const rung = LADDER_MS.includes(delayMs) ? `${delayMs}ms/` : ''
  return {
    topic,
    topicId,
    partition,
    delayMs,
    ledger,
    transaction,
    name: `${rung}${partition}`,
    held: new Set(),
    lost: false,
    paused: false,
    dirty: false,
  }
}

/** How long until its head may be handed out; undefined: there is none, or too much of it is open. */
export function waitOf(lane: Lane, clock: Clock): number | undefined {
  const { open } = lane.ledger
  if (open.count >= OPEN_COUNT || open.bytes + (lane.transaction?.bytes ?? 0) >= OPEN_BYTES) return undefined
  const head = lane.ledger.next()
  if (!head) return undefined
  return lane.delayMs === 0 ? 0 : Math.max(0, head.record.timestamp + lane.delayMs - clock.wall())
}

/** Pauses or resumes them, by how much is fetched ahead of each. */
export function regulateAll(lanes: Iterable<Lane>, member: Member | undefined, which: (lane: Lane) => boolean): void {
  const all = [...lanes]
  const chosen = all.filter(which)
  if (chosen.length === 0) return
  // Those of rungs hold a record each.
  const sharing = all.reduce((count, { delayMs }) => count + (delayMs === 0 ? 1 : 0), 0)
  for (const lane of chosen) regulate(lane, Math.max(1, sharing), member)
}

/** Low and high marks lie apart, or each record would toggle it. */
function regulate(lane: Lane, lanes: number, member: Member | undefined): void {
  if (!member || lane.lost) return
  const { count, bytes } = lane.ledger.buffered
  // A rung's records wait there as well as here.
  const high = lane.delayMs > 0 ? 1 : Math.max(LEAST_COUNT, AHEAD_COUNT / lanes)
  const highBytes = Math.max(LEAST_BYTES, AHEAD_BYTES / lanes)
  if (!lane.paused && (count >= high || bytes >= highBytes)) {
    lane.paused = true
    member.pause([lane])
  } else if (lane.paused && count <= high / 2 && bytes <= highBytes / 2) {
    lane.paused = false
    member.resume([lane])
  }
}
