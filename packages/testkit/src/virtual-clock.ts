import { type Clock, createClock } from '@polybus/core'

/** Time that stands still until it is told to go on. */
export interface VirtualClock {
  /** For `memory({ clock })`: the bus over that adapter lives in this time too. */
  readonly clock: Clock
  /** Milliseconds since the clock was made. */
  readonly now: number
  /** Goes on by so many milliseconds: timers run in their order, and what they set off runs before the next one. */
  advance(ms: number): Promise<void>
}

/** Enough for a message to go to the memory broker and back, with room. */
const TURNS_A_STEP = 12

/**
 * A clock for tests with the memory adapter: hours pass in milliseconds.
 *
 * @param options `startAt` is what the wall clock shows first. Default: 2025-01-01T00:00:00Z.
 * @example
 * const time = virtualClock()
 * const bus = await testBus({ broker: memory({ clock: time.clock }), consumers: [email] })
 * await bus.publish(orders, order)
 * await time.advance(3_600_000)
 */
export function virtualClock(options: { readonly startAt?: Date } = {}): VirtualClock {
  const start = (options.startAt ?? new Date('2025-01-01T00:00:00Z')).getTime()
  let now = 0
  const clock = createClock({
    now: () => now,
    wall: () => start + now,
    arm(delayMs, wake) {
      // What is due runs by itself, so that only waiting needs `advance`.
      if (delayMs !== undefined && delayMs <= 0) clock.turn().then(wake, wake)
    },
  })
  const quiet = async (): Promise<void> => {
    for (let turn = 0; turn < TURNS_A_STEP; turn++) await clock.turn()
  }
  return {
    clock,
    get now() {
      return now
    },
    async advance(ms) {
      if (!(ms >= 0)) throw new RangeError(`advance(): expected milliseconds, got ${ms}.`)
      const target = now + ms
      await quiet()
      for (let next = clock.nextAt(); next !== undefined && next <= target; next = clock.nextAt()) {
        now = Math.max(now, next)
        clock.wake()
        await quiet()
      }
      now = target
      clock.wake()
      await quiet()
    },
  }
}
