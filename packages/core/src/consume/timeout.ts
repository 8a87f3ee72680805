// The time-out of an attempt: the signal aborts at once, the outcome waits until the handler's promise settles.
import type { Clock } from '../clock.ts'
import { createDeadlines, type Due } from '../deadlines.ts'
import { PolybusError } from '../errors.ts'

export interface Watch extends Due {
  over: boolean
  readonly abort: (reason: PolybusError) => void
}

export interface Timeouts {
  start(abort: (reason: PolybusError) => void): Watch
  /** The error, if the time was over. */
  end(watch: Watch): PolybusError | undefined
  /** Handlers past their time that have not ended yet. */
  readonly overdue: number
}

export function createTimeouts(clock: Clock, timeoutMs: number): Timeouts {
  let overdue = 0
  const error = (): PolybusError => new PolybusError('HANDLER_TIMEOUT', `The handler did not finish within ${timeoutMs} ms.`)
  const list = createDeadlines<Watch>(clock, (watch) => {
    watch.over = true
    overdue++
    watch.abort(error())
  })
  return {
    start(abort) {
      const watch: Watch = { over: false, abort, dueAt: 0, duePrevious: undefined, dueNext: undefined, dueListed: false }
      list.add(watch, clock.now() + timeoutMs)
      return watch
    },
    end(watch) {
      if (!watch.over) {
        list.remove(watch)
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
