import { describeError, redact } from '@polybus/core'

/**
 * A copy of an error of foreign code that may stand as a `cause`: credentials are hidden in its message and its stack,
 * and other properties are left behind (Node keeps the whole text of a bad URL on its error).
 */
export function redactedError(error: unknown, depth = 0): Error {
  const { name, message } = describeError(error)
  // Causes may form a ring.
  const cause = error instanceof Error && error.cause !== undefined && depth < 4 ? error.cause : undefined
  const copy = new Error(message, cause === undefined ? undefined : { cause: redactedError(cause, depth + 1) })
  const stack = error instanceof Error && typeof error.stack === 'string' ? redact(error.stack) : undefined
  Object.defineProperties(copy, {
    name: { value: name, configurable: true, writable: true },
    ...(stack === undefined ? {} : { stack: { value: stack, configurable: true, writable: true } }),
  })
  return copy
}
