import type { Clock, PolybusError, Timer } from '@polybus/core'
import { CONNECTION } from './connection.ts'
import { failed } from './errors.ts'

export interface Watch {
  stop(): void
}

/** A request of SQS costs money, little as it is: about 8,600 a day of an idle process. */
const IDLE_MS = 10_000

/**
 * HTTP has no connection that could be seen to end: where nothing is asked for a while, one question is, so that health tells
 * the truth of a bus that is idle.
 */
export function createWatch(
  clock: Clock,
  answeredAt: () => number,
  prove: () => Promise<void>,
  onLost: (error: PolybusError) => void,
): Watch {
  let timer: Timer | undefined
  let over = false
  const again = (): void => {
    if (!over) timer = clock.timer(Math.max(1, answeredAt() + IDLE_MS - clock.now()), look)
  }
  const look = (): void => {
    if (clock.now() - answeredAt() < IDLE_MS) return again()
    prove().then(again, (error: unknown) => {
      const cause = failed(error)
      if (over) return
      // Whoever is told connects again, and begins another watch.
      if (CONNECTION.has(cause.code)) onLost(cause)
      else again()
    })
  }
  again()
  return {
    stop() {
      over = true
      timer?.cancel()
    },
  }
}
