// How many may be in flight: a few rounds ahead of the handlers, and more while they are so fast that a round trip is what
// they wait for. What slow handlers would only hoard stays with the broker, for other consumers.
import type { Clock } from '../clock.ts'

export interface Prefetch {
  /** One is settled, or lost. */
  ended(): void
  readonly now: number
}

/** All that is in flight being handled within it, more is fetched: that is not much longer than a receive and a settlement. */
const QUICK_MS = 50
/** And less again where it takes longer than this. */
const SLOW_MS = 200

export function createPrefetch(clock: Clock, least: number, most: number): Prefetch {
  let limit = least
  let ended = 0
  let since = clock.now()
  return {
    ended() {
      if (++ended < limit) return
      const now = clock.now()
      if (now - since < QUICK_MS) limit = Math.min(most, limit * 2)
      else if (now - since > SLOW_MS) limit = Math.max(least, Math.ceil(limit / 2))
      ended = 0
      since = now
    },
    get now() {
      return limit
    },
  }
}
