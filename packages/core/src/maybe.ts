// What may be there at once, or later: a promise only where one is needed, because each costs a turn.
import type { MaybePromise } from './idempotency.ts'

export const isPromise = <T>(value: MaybePromise<T> | void): value is Promise<T> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'

/** `work` on the value: at once where it is there. */
export const after = <T, R>(value: MaybePromise<T>, work: (value: T) => MaybePromise<R>): MaybePromise<R> =>
  isPromise(value) ? value.then(work) : work(value)
