import type { Clock } from './clock.ts'
import { PolybusError } from './errors.ts'

/** One call of the adapter that ends at its deadline, or with the parent's signal, whatever the adapter does. */
export async function within<T>(
  clock: Clock,
  ms: number,
  run: (signal: AbortSignal) => Promise<T>,
  parent?: AbortSignal,
): Promise<T> {
  const abort = new AbortController()
  const stop = (): void => {
    const reason: unknown = parent?.reason
    abort.abort(PolybusError.is(reason) ? reason : new PolybusError('ABORTED', undefined, { cause: reason }))
  }
  const timer = clock.timer(ms, () =>
    abort.abort(new PolybusError('CONNECTION_FAILED', `The broker did not answer within ${Math.ceil(ms)} ms.`)),
  )
  parent?.addEventListener('abort', stop)
  try {
    return await new Promise<T>((resolve, reject) => {
      abort.signal.addEventListener('abort', () => reject(abort.signal.reason as Error), { once: true })
      if (parent?.aborted) stop()
      else run(abort.signal).then(resolve, reject)
    })
  } finally {
    timer.cancel()
    parent?.removeEventListener('abort', stop)
  }
}
