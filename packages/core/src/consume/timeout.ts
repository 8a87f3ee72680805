// The time-out of an attempt: the signal aborts at once, the outcome waits until the handler's promise settles.
import type { Clock } from '../clock.ts'
import { createDeadlines, type Due } from '../deadlines.ts'
import { PolybusError } from '../errors.ts'

/** A running attempt. */
export interface Timed extends Due {
  timedOut: boolean
  abort(reason: PolybusError): void
}

export interface Timeouts {
  /** From now on, also after a {@link Timeouts.suspend}; answers when that is. */
  start(attempt: Timed): number
  suspend(attempt: Timed): void
  /** The error, if the time was over. */
  end(attempt: Timed): PolybusError | undefined
  /** Handlers past their time that have not ended yet. */
  readonly overdue: number
}

export function createTimeouts(clock: Clock, timeoutMs: number): Timeouts {
  let overdue = 0
  const error = (): PolybusError =>
    new PolybusError('HANDLER_TIMEOUT', `The handler did not finish within ${timeoutMs} ms.`)
  const list = createDeadlines<Timed>(clock, (attempt) => {
    attempt.timedOut = true
    overdue++
    attempt.abort(error())
  })
  return {
    start(attempt) {
      const now = clock.now()
      if (!attempt.timedOut) list.add(attempt, now + timeoutMs)
      return now
    },
    suspend: (attempt) => list.remove(attempt),
    end(attempt) {
      if (!attempt.timedOut) {
        list.remove(attempt)
        return undefined
      }
      overdue--
      return error()
    },
    get overdue() {
      return overdue
    },
  }
}
