import type { Backoff, Retry } from '../api.ts'
import { type Duration, milliseconds } from '../duration.ts'
import { invalid, checkKeys, optionalChoice, optionalInteger } from '../options.ts'
import { show } from '../duration.ts'
import { property } from '../errors.ts'

/** The same delay every time. */
export function fixed(delay: Duration): Backoff {
  const ms = milliseconds(delay, 'fixed()')
  return { delayMs: () => ms }
}

/**
 * Longer each time, up to `max`.
 *
 * @param options `factor` defaults to 2; `jitter` is the part of the delay that is random, 0 to 1, by default 0.2.
 * @example
 * const backoff = exponential({ initial: '200ms', max: '1m' })
 */
export function exponential(options: { initial: Duration; max: Duration; factor?: number; jitter?: number }): Backoff {
  checkKeys(options, ['initial', 'max', 'factor', 'jitter'], 'exponential()')
  const initial = milliseconds(options.initial, 'exponential().initial')
  const max = milliseconds(options.max, 'exponential().max')
  const { factor = 2, jitter = 0.2 } = options
  if (!(factor >= 1)) throw invalid('exponential().factor', `expected a number of at least 1, got ${show(factor)}.`)
  if (!(jitter >= 0 && jitter <= 1))
    throw invalid('exponential().jitter', `expected a number from 0 to 1, got ${show(jitter)}.`)
  if (max < initial) throw invalid('exponential().max', 'must not be below initial.')
  return {
    delayMs(attempt) {
      const full = Math.min(max, initial * factor ** (attempt - 1))
      return full * (1 - jitter * Math.random())
    },
  }
}

const retryAfter: unique symbol = Symbol.for('polybus.retry-after') as never

/**
 * Throw it where the other side says when to come back. It sets the delay, never the limit of attempts.
 *
 * @example
 * if (response.status === 429) throw new RetryAfter('30s')
 */
export class RetryAfter extends Error {
  constructor(delay: Duration, options?: ErrorOptions) {
    super(`retry after ${delay}`, options)
    Object.defineProperty(this, retryAfter, { value: milliseconds(delay, 'RetryAfter') })
  }
  override get name(): string {
    return 'RetryAfter'
  }
}

/** The delay that an error asks for. */
export const retryAfterMs = (error: unknown): number | undefined => {
  const ms = property(error, retryAfter)
  return typeof ms === 'number' && Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

export interface RetryRule {
  readonly matches: (error: unknown) => boolean
  readonly attempts: number
  readonly backoff: Backoff
}
/** A checked {@link Retry}. */
export interface RetryPolicy {
  readonly attempts: number
  readonly backoff: Backoff
  readonly wait: 'held' | 'released' | undefined
  readonly rules: readonly RetryRule[]
}

export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 5,
  backoff: exponential({ initial: '200ms', max: '1m' }),
  wait: undefined,
  rules: [],
}
const ONE_ATTEMPT: RetryPolicy = { ...DEFAULT_RETRY, attempts: 1 }

function rulesOf({ rules = [] }: Retry, where: string): NonNullable<Retry['rules']> {
  if (!Array.isArray(rules)) throw invalid(`${where}.rules`, `expected an array, got ${show(rules)}.`)
  return rules
}

export function retryPolicy(retry: Retry | false | undefined, where: string): RetryPolicy | undefined {
  if (retry === undefined) return undefined
  if (retry === false) return ONE_ATTEMPT
  checkKeys(retry, ['attempts', 'backoff', 'wait', 'rules'], where)
  const attempts = (value: unknown, field: string): number => {
    const count = optionalInteger(value, field, 1, 1_000_000)
    if (count === undefined) throw invalid(field, 'is required. How many times may the handler start?')
    return count
  }
  const backoff = (value: Backoff | undefined, field: string): Backoff | undefined => {
    if (value !== undefined && typeof value?.delayMs !== 'function')
      throw invalid(field, `expected fixed(…), exponential(…) or an object with delayMs, got ${show(value)}.`)
    return value
  }
  const common = backoff(retry.backoff, `${where}.backoff`) ?? DEFAULT_RETRY.backoff
  return {
    attempts: attempts(retry.attempts, `${where}.attempts`),
    backoff: common,
    wait: optionalChoice(retry.wait, `${where}.wait`, ['held', 'released']),
    rules: rulesOf(retry, where).map((rule, index) => {
      const field = `${where}.rules[${index}]`
      checkKeys(rule, ['on', 'attempts', 'backoff'], field)
      const { on } = rule
      if (typeof on !== 'function' && !(Array.isArray(on) && on.every((type) => typeof type === 'function')))
        throw invalid(`${field}.on`, 'expected an array of error classes or a function.')
      return {
        matches: typeof on === 'function' ? on : (error) => on.some((type) => error instanceof type),
        attempts: attempts(rule.attempts, `${field}.attempts`),
        backoff: backoff(rule.backoff, `${field}.backoff`) ?? common,
      }
    }),
  }
}
