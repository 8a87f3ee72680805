// Between two invocations Lambda freezes the process. Time that passed meanwhile must not count: a receive that was waiting
// would look as if it hung, and whatever is owed would be due at once.
import { type Clock, createClock, type Timer } from '@polybus/core'

export interface PausableClock extends Clock {
  /** Counted: it goes while anybody lets it. */
  resume(): void
  pause(): void
}

/** Stands still at first. The time of day goes on all the same. */
export function createPausableClock(base: Clock): PausableClock {
  let users = 0
  let standing = 0
  let stoppedAt = base.now()
  let timer: Timer | undefined
  const clock = createClock({
    now: () => (users > 0 ? base.now() : stoppedAt) - standing,
    wall: base.wall,
    arm(delayMs, wake) {
      timer?.cancel()
      timer = delayMs === undefined || users === 0 ? undefined : base.timer(delayMs, wake)
    },
  })
  return {
    ...clock,
    resume() {
      if (users++ > 0) return
      standing += base.now() - stoppedAt
      // Arms what was not while it stood.
      clock.wake()
    },
    pause() {
      if (--users > 0) return
      stoppedAt = base.now()
      timer?.cancel()
      timer = undefined
    },
  }
}
