// Waits with an end, and what is tried again.
import { type Call, type Clock, type PolybusError, sleep } from '@polybus/core'
import { aborted, connectionFailed, isStale, kafkaError } from './errors.ts'

/** What `work` gives, or a rejection at the limit or the abort: the work itself goes on, unheard. */
export function within<T>(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal | undefined,
  work: Promise<T>,
  late: () => Error = () => connectionFailed(`no answer within ${limitMs} ms`, 'unknown'),
): Promise<T> {
  return new Promise((resolve, reject) => {
    const finish = (run: () => void): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
      run()
    }
    const onAbort = (): void => finish(() => reject(aborted('unknown')))
    const timer = clock.timer(limitMs, () => finish(() => reject(late())))
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort)
    work.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error instanceof Error ? error : kafkaError(error))),
    )
  })
}

export interface Persistence {
  readonly clock: Clock
  /** No try begins after it. */
  readonly limitMs: number
  readonly call?: Call | undefined
  /** What brokers and leaders are known may be wrong. */
  readonly onStale?: () => void
  /** Before the second try; twice as long before each further one, 500 at most. Default 50. */
  readonly backoffMs?: number
  /** Of those that the error table calls retryable; default all, where a lost connection is tried twice. */
  readonly again?: (error: PolybusError, tries: number) => boolean
}

/** Tries again what Kafka calls retriable, until the limit or the abort. kafkajs's own retries are off: they know neither. */
export async function persist<T>(how: Persistence, work: () => Promise<T>): Promise<T> {
  const { clock, limitMs, call, onStale, backoffMs = 50, again = tryAgain } = how
  const end = clock.now() + limitMs
  for (let tries = 1; ; tries++) {
    if (call?.signal.aborted) throw aborted('no')
    try {
      return await work()
    } catch (thrown) {
      const error = kafkaError(thrown, 'unknown')
      const waitMs = Math.min(500, backoffMs * 2 ** (tries - 1))
      if (isStale(error)) onStale?.()
      if (!again(error, tries) || clock.now() + waitMs > end) throw error
      await sleep(clock, waitMs, call?.signal)
    }
  }
}

const tryAgain = (error: PolybusError, tries: number): boolean =>
  error.code === 'CONNECTION_FAILED' ? tries < 2 : error.retryable || isStale(error)

export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}
export function deferred<T>(): Deferred<T> {
  let resolve: Deferred<T>['resolve'] | undefined
  let reject: Deferred<T>['reject'] | undefined
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve: (value) => resolve?.(value), reject: (error) => reject?.(error) }
}
