import { type Clock, describeError, PolybusError } from '@polybus/core'

export interface Limit {
  /** Aborts when the time is over, or the caller has gone. */
  readonly signal: AbortSignal
  /** From now on somebody else's work is waited for, and the caller's signal is theirs to heed. */
  pause(): void
  /** From now on the store is waited for again, with new time. */
  resume(): void
}

/**
 * Waits for the store no longer than its limit, whatever its client does. What comes later is nobody's.
 *
 * @throws {PolybusError} `STORE_UNAVAILABLE` when the time is over.
 */
export async function limited<T>(
  clock: Clock,
  limitMs: number,
  run: (limit: Limit) => Promise<T>,
  caller?: AbortSignal,
): Promise<T> {
  caller?.throwIfAborted()
  const stop = new AbortController()
  const gone = (): void => stop.abort(caller?.reason)
  const over = (): void =>
    stop.abort(new PolybusError('STORE_UNAVAILABLE', `The idempotency store did not answer within ${limitMs} ms.`))
  let timer = clock.timer(limitMs, over)
  const pause = (): void => {
    timer.cancel()
    caller?.removeEventListener('abort', gone)
  }
  caller?.addEventListener('abort', gone)
  try {
    return await new Promise<T>((resolve, reject) => {
      stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error))
      run({
        signal: stop.signal,
        pause,
        resume() {
          timer.cancel()
          timer = clock.timer(limitMs, over)
        },
      }).then(resolve, reject)
    })
  } finally {
    pause()
  }
}

/** What came from the store's client, as an error of ours. */
export function unavailable(error: unknown): PolybusError {
  if (PolybusError.is(error)) return error
  const { name, message } = describeError(error)
  return new PolybusError('STORE_UNAVAILABLE', `The idempotency store failed. ${name}: ${message}`, { cause: error })
}
