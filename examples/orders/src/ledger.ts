// The ledger: sees every publish, every attempt and every outcome, and knows whether all promises were kept.
import { setTimeout as sleep } from 'node:timers/promises'
import type { BusEvent, Middleware } from 'polybus'
import { type Account, openAccount } from './account.ts'
import type { Purchase } from './purchases.ts'
import { GROUPS } from './shop.ts'

export interface Ledger {
  /** Publishing, seen from outside. */
  place(order: Purchase, publish: () => Promise<unknown>): Promise<void>
  repeat(publish: () => Promise<unknown>): Promise<void>
  malform(produce: () => Promise<void>): Promise<void>
  /** Consuming, seen from the bus: every attempt passes the middleware, what needs no attempt is an event. */
  readonly watch: Middleware
  readonly observe: (event: BusEvent) => void
  /** Resolves when every group is done with everything, or when nothing has moved for 30 s. */
  settled(): Promise<void>
  /**
   * Resolves when no group has more than 1,000 orders still to handle: a shop's customers come over a day, not all in its
   * first second. Throws when nothing has moved for 30 s.
   */
  room(): Promise<void>
  /** From 0 to 1. */
  progress(): number
  /** A group's account. */
  of(group: string): Account
  readonly all: readonly Account[]
  /** How long each customer waited for the publish, in milliseconds. */
  readonly publishMs: Float64Array
  /** How long the six services worked for each order, all attempts together, in milliseconds. */
  readonly workMs: Float64Array
  readonly startedAt: number
}

const BACKLOG = 1000
const POLL_MS = 5
const STALLED_MS = 30_000

export function openLedger(purchases: readonly Purchase[]): Ledger {
  const size = purchases.reduce((highest, { number }) => Math.max(highest, number), 0) + 1
  const placedAt = new Float64Array(size)
  const publishMs = new Float64Array(size)
  const workMs = new Float64Array(size)
  const customers = new Int32Array(size)
  for (const { number, customer } of purchases) customers[number] = Number(customer)
  const accounts = new Map<string, Account>(GROUPS.map((group) => [group, openAccount(purchases.length, customers)]))
  const all = [...accounts.values()]
  const startedAt = performance.now()
  let placed = 0
  let repeats = 0
  let malformed = 0

  const of = (group: string): Account => {
    const account = accounts.get(group)
    if (!account) throw new Error(`There is no group '${group}'.`)
    return account
  }
  const backlog = (): number => all.reduce((most, { done }) => Math.max(most, placed - done), 0)
  const open = (): number => all.reduce((sum, account) => sum + account.open(repeats, malformed), 0)

  return {
    async place({ number }, publish) {
      const start = (placedAt[number] = performance.now())
      await publish()
      publishMs[number] = performance.now() - start
      placed++
    },
    async repeat(publish) {
      await publish()
      repeats++
    },
    async malform(produce) {
      await produce()
      malformed++
    },
    async watch(ctx, next) {
      const number = Number(ctx.message.id)
      const account = of(ctx.group)
      const start = performance.now()
      account.attempted(ctx.attempt)
      try {
        await next()
        account.succeeded(number, performance.now() - (placedAt[number] ?? 0))
      } finally {
        workMs[number] = (workMs[number] ?? 0) + performance.now() - start
      }
    },
    observe({ kind, group }) {
      accounts.get(group)?.saw(kind)
    },
    async settled() {
      await until(open, 0)
    },
    async room() {
      if (!(await until(backlog, BACKLOG))) throw new Error('Some group has done nothing for 30 s.')
    },
    progress: () => Math.max(0, 1 - open() / (all.length * purchases.length)),
    of,
    all,
    publishMs,
    workMs,
    startedAt,
  }
}

/** Waits until a number has come down to a limit. False when it has stood still for 30 s. */
async function until(read: () => number, limit: number): Promise<boolean> {
  let last = read()
  let movedAt = performance.now()
  while (last > limit) {
    if (performance.now() - movedAt > STALLED_MS) return false
    await sleep(POLL_MS)
    const now = read()
    if (now !== last) movedAt = performance.now()
    last = now
  }
  return true
}
