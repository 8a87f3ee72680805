import type { Clock } from '../clock.ts'
import { PolybusError } from '../errors.ts'

/** Goes on with what was prepared, unless the deadline or the signal came first: then it is certainly not sent. */
export function bounded<T, R>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  prepared: Promise<T>,
  proceed: (value: T) => Promise<R>,
): Promise<R> {
  return new Promise((resolve, reject) => {
    let over = false
    const end = (): void => {
      over = true
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
    const giveUp = (code: 'ABORTED' | 'PUBLISH_TIMEOUT', text: string, cause?: unknown): void => {
      end()
      reject(new PolybusError(code, text, { cause, sent: 'no' }))
    }
    const abort = (): void => giveUp('ABORTED', 'The signal was aborted before the message was sent.', signal?.reason)
    const timer = clock.timer(timeoutMs, () =>
      giveUp(
        'PUBLISH_TIMEOUT',
        'The channel was not set up, the value not encoded, or a middleware did not call next(), before the deadline. Nothing was sent.',
      ),
    )
    signal?.addEventListener('abort', abort)
    prepared
      .then(async (value) => {
        if (over) return
        end()
        resolve(await proceed(value))
      })
      .catch((error: unknown) => {
        end()
        reject(error) // oxlint-disable-line typescript/prefer-promise-reject-errors -- whatever was thrown
      })
  })
}
