import { type Clock, PolybusError, sleep } from '@polybus/core'

export interface WaitOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/**
 * Waits until the condition holds.
 *
 * @throws {Error} after the time-out, saying what it waited for and what stood instead.
 */
export async function waitFor(
  clock: Clock,
  condition: () => unknown,
  what: string | (() => string | Promise<string>),
  { timeoutMs, signal }: WaitOptions,
): Promise<void> {
  const end = clock.now() + timeoutMs
  for (let pause = 2; ; pause = Math.min(50, pause * 1.5)) {
    if (await condition()) return
    signal?.throwIfAborted()
    if (clock.now() > end)
      throw new Error(`Waited ${timeoutMs} ms in vain: ${typeof what === 'string' ? what : await what()}`)
    await sleep(clock, pause, signal)
  }
}

/** The promise, or an error once it took too long. */
export async function within<T>(clock: Clock, promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let cancel = (): void => {}
  const late = new Promise<never>((_, reject) => {
    const timer = clock.timer(timeoutMs, () =>
      reject(new Error(`Took longer than ${Math.round(timeoutMs)} ms: ${what}`)),
    )
    cancel = () => timer.cancel()
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    cancel()
  }
}

/** A promise with its ends outside: a gate that a handler waits at. */
export interface Gate {
  readonly passed: Promise<void>
  readonly isOpen: boolean
  open(): void
}

export function gate(): Gate {
  let resolve = (): void => {}
  let isOpen = false
  const passed = new Promise<void>((done) => (resolve = done))
  return {
    passed,
    get isOpen() {
      return isOpen
    },
    open() {
      isOpen = true
      resolve()
    },
  }
}

/** The PolybusError that the promise rejects with; anything else is a failed case. */
export async function rejection(promise: Promise<unknown>, ...codes: readonly string[]): Promise<PolybusError> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    if (!PolybusError.is(error)) throw new Error(`Rejected with no PolybusError: ${String(error)}`, { cause: error })
    if (codes.length > 0 && !codes.includes(error.code))
      throw new Error(`Expected ${codes.join(' or ')}, got ${error.code}: ${error.message}`, { cause: error })
    return error
  }
  throw new Error(
    `Expected a rejection with ${codes.join(' or ') || 'a PolybusError'}, but it resolved with ${JSON.stringify(value)}`,
  )
}
