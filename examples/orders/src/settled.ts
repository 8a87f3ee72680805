// When is it over? The broker says: it counts what it still has.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bus, PolybusError } from 'polybus'
import { GROUPS } from './groups.ts'
import { type Ledger, STALLED_MS } from './ledger.ts'
import { orders } from './shop.ts'

const POLL_MS = 50
/** For some brokers, and for Redis 7.0 after a crash, the backlog is an estimate. */
const QUIET_MS = 3000

/**
 * Resolves when everything is handled or a dead letter, and nothing is left on the broker or nothing has moved for 3 s; or
 * when nothing has moved for a minute.
 *
 * @param charged how many orders `charge` must have handled, where it is known: a dead letter that is there twice hides one
 * that is under way.
 */
export async function settled(bus: Bus, ledger: Ledger, charged = 0): Promise<void> {
  let [last, movedAt] = [ledger.moves, performance.now()]
  for (;;) {
    const left = await lookFor(bus, ledger, charged)
    if (ledger.moves !== last) [last, movedAt] = [ledger.moves, performance.now()]
    const quietMs = performance.now() - movedAt
    if (left === 'nothing' || quietMs > STALLED_MS || (left === 'repeats' && quietMs > QUIET_MS)) return
    await sleep(POLL_MS)
  }
}

/** What some group has still to do. `repeats`: every order has its end, but the broker counts something. */
async function lookFor(bus: Bus, ledger: Ledger, charged: number): Promise<'nothing' | 'repeats' | 'orders'> {
  if (ledger.of('charge').handled < charged) return 'orders'
  let left: 'nothing' | 'repeats' = 'nothing'
  for (const group of GROUPS)
    try {
      const { backlog, inFlight, deadLetters } = await bus.stats(orders, group)
      if (ledger.of(group).handled + (deadLetters ?? 0) < ledger.placed) return 'orders'
      // Not every broker tells what is in flight.
      if (backlog !== 0 || (inFlight ?? 0) > 0) left = 'repeats'
    } catch (error) {
      if (error instanceof PolybusError && error.retryable) return 'orders'
      throw error
    }
  return left
}
