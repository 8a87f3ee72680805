// For who waits until something happens, some time passes, or nobody wants to wait any more.
import { heedAbort, type Heeding, heedNoMore } from './aborts.ts'
import type { Clock } from './clock.ts'

export interface Bell {
  /** Ends the wait that is under way. One that nobody waits for is not kept. */
  ring(): void
  /** Resolves at the next ring, after `ms` milliseconds, or when the signal aborts. One waits at a time. Never rejects. */
  heard(ms: number, signal: AbortSignal): Promise<void>
}

/**
 * What a feed's `receive` waits with.
 *
 * @example
 * const bell = createBell(clock)
 * consume((message) => { buffer.push(message); bell.ring() })
 * if (buffer.length === 0) await bell.heard(1000, call.signal)
 */
export function createBell(clock: Clock): Bell {
  let end: (() => void) | undefined
  return {
    ring: () => end?.(),
    heard: (ms, signal) =>
      new Promise((resolve) => {
        const over = (): void => {
          end = undefined
          timer.cancel()
          heedNoMore(signal, heeding)
          resolve()
        }
        const timer = clock.timer(ms, over)
        const heeding: Heeding = { abort: over, before: undefined, after: undefined }
        end = over
        if (signal.aborted) over()
        else heedAbort(signal, heeding)
      }),
  }
}
