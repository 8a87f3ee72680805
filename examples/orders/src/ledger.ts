// The ledger: hears of every publish, of every request to a service and of every event, and knows whether all promises were
// kept. What a consumer does counts when the outside world has seen it: that stays, whatever becomes of the consumer.
import { setTimeout as sleep } from 'node:timers/promises'
import type { BusEvent } from 'polybus'
import { type Account, openAccount } from './account.ts'
import type { Purchase } from './purchases.ts'
import type { Served } from './services.ts'
import { GROUPS } from './groups.ts'

export interface Ledger {
  /** Publishing, seen from outside. */
  place(order: Purchase, publish: () => Promise<unknown>): Promise<void>
  malform(produce: () => Promise<void>): Promise<void>
  /** Handling, seen from the services. */
  served(request: Served): void
  /** What the buses tell: the table shows it, no check depends on it. */
  saw(event: Pick<BusEvent, 'kind' | 'group'>): void
  /** Orders and malformed ones, confirmed by the broker. */
  readonly placed: number
  /** Grows with every order that moves on. */
  readonly moves: number
  /**
   * Some group has `backlog` orders still to handle (a shop's customers come over a day, not all in its first second), or the
   * checkout is held.
   */
  readonly full: boolean
  /** Resolves when it may not be full any more. Throws when nothing has moved for a minute. */
  room(): Promise<void>
  /** The customers come no further than this share of the orders, from 0 to 1, until it is called again. */
  hold(share: number): void
  /** What the groups have done, from 0 to 1. */
  progress(): number
  /** What the customers have placed, from 0 to 1. */
  checkedOut(): number
  /** A group's account. */
  of(group: string): Account
  readonly all: readonly Account[]
  /** How long each customer waited for the publish, in milliseconds. */
  readonly publishMs: Float64Array
  /** How long the six services worked for each order, all attempts together, in milliseconds. */
  readonly workMs: Float64Array
  /** When the first was placed. */
  readonly startedAt: number
}

const POLL_MS = 5
/** What moves a group on. A consumer that only connects again does not. */
const COUNTED: readonly BusEvent['kind'][] = ['retry', 'duplicate', 'dead-letter']
/** A broker that crashed on a busy machine may take half of it to come back. */
export const STALLED_MS = 60_000

/** @param backlog how many orders the slowest group may still have to handle. */
export function openLedger(purchases: readonly Purchase[], backlog: number): Ledger {
  const size = purchases.reduce((highest, { number }) => Math.max(highest, number), 0) + 1
  const placedAt = new Float64Array(size)
  const publishMs = new Float64Array(size)
  const workMs = new Float64Array(size)
  const customers = new Int32Array(size)
  for (const { number, customer } of purchases) customers[number] = Number(customer)
  const accounts = new Map<string, Account>(GROUPS.map((group) => [group, openAccount(purchases.length, customers)]))
  const all = [...accounts.values()]
  let startedAt = 0
  let admitted = 0
  let allowed = Infinity
  let placed = 0
  let moves = 0
  let waiting: Promise<void> | undefined

  const of = (group: string): Account => {
    const account = accounts.get(group)
    if (!account) throw new Error(`There is no group '${group}'.`)
    return account
  }
  const isFull = (): boolean => admitted >= allowed || all.some(({ done }) => admitted - done > backlog)
  const untilRoom = async (): Promise<void> => {
    let [last, movedAt] = [moves, performance.now()]
    while (isFull()) {
      if (moves !== last) [last, movedAt] = [moves, performance.now()]
      if (performance.now() - movedAt > STALLED_MS) throw new Error('Some group has done nothing for a minute.')
      await sleep(POLL_MS)
    }
  }

  return {
    async place({ number }, publish) {
      const start = (placedAt[number] = performance.now())
      startedAt ||= start
      admitted++
      await publish()
      publishMs[number] = performance.now() - start
      placed++
      moves++
    },
    async malform(produce) {
      await produce()
      placed++
    },
    served(request) {
      const { group, order, ms } = request
      moves++
      workMs[order] = (workMs[order] ?? 0) + ms
      of(group).served(request, performance.now() - (placedAt[order] ?? 0))
    },
    saw({ kind, group }) {
      if (COUNTED.includes(kind)) moves++
      accounts.get(group)?.saw(kind)
    },
    get placed() {
      return placed
    },
    get moves() {
      return moves
    },
    get full() {
      return isFull()
    },
    async room() {
      // All wait together.
      if (isFull()) await (waiting ??= untilRoom().finally(() => (waiting = undefined)))
    },
    hold: (share) => void (allowed = share < 1 ? Math.ceil(share * purchases.length) : Infinity),
    progress: () => Math.min(1, all.reduce((sum, { done }) => sum + done, 0) / (all.length * purchases.length)),
    checkedOut: () => Math.min(1, placed / purchases.length),
    of,
    all,
    publishMs,
    workMs,
    get startedAt() {
      return startedAt
    },
  }
}
