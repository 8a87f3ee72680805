// (result, attempt, policy) -> outcome. Pure: everything that is decided about a delivery is decided here.
import type { PolybusError } from '../errors.ts'
import { isNonRetryable } from '../errors.ts'
import { DEFAULT_RETRY, retryAfterMs, type RetryPolicy } from './retry.ts'

export type Reason = 'attempts-exhausted' | 'non-retryable' | 'undecodable' | 'invalid' | 'delivery-limit' | 'no-id'

export type AttemptResult =
  | { readonly kind: 'done' }
  | { readonly kind: 'duplicate' }
  /** Another one has the claim. */
  | { readonly kind: 'busy' }
  /** A store or a registry cannot be reached. */
  | { readonly kind: 'unavailable'; readonly error: PolybusError }
  /** It waits in the store behind another one of its key. */
  | { readonly kind: 'parked' }
  /** It is done, but the next one of its key could not be sent to its group. */
  | { readonly kind: 'unsent'; readonly error: PolybusError }
  /** The handler ran, and failed. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** It cannot be run at all. */
  | {
      readonly kind: 'refused'
      readonly reason: 'undecodable' | 'invalid' | 'delivery-limit' | 'no-id'
      readonly error: unknown
    }

export type Outcome =
  | { readonly kind: 'ack'; readonly duplicate: boolean }
  | { readonly kind: 'park' }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly wait: 'held' | 'released'; readonly error: unknown }
  /** Not counted as an attempt. `gate`: nothing else starts before, either. */
  | {
      readonly kind: 'postpone'
      readonly delayMs: number
      readonly gate: boolean
      readonly error: PolybusError | undefined
    }
  | { readonly kind: 'dead-letter'; readonly reason: Reason; readonly error: unknown }
  | { readonly kind: 'discard'; readonly reason: Reason; readonly error: unknown }

export interface DecidePolicy {
  readonly retry: RetryPolicy
  readonly wait: 'held' | 'released'
  readonly deadLetter: boolean
  /** Shorter waits are held: what the broker can't delay so briefly. */
  readonly heldBelowMs: number
  /** Shortens delays in tests. */
  readonly delayMs: (delayMs: number) => number
}

export const DONE: AttemptResult = { kind: 'done' }
const ACK: Outcome = { kind: 'ack', duplicate: false }
const PARK: Outcome = { kind: 'park' }
const ACK_DUPLICATE: Outcome = { kind: 'ack', duplicate: true }
const BUSY_MS = 100
const UNSENT_MS = 1000
/** Ten years: what a header can still carry. */
const LONGEST_MS = 10 * 365 * 86_400_000
const UNAVAILABLE_FIRST_MS = 100
const UNAVAILABLE_MAX_MS = 5000

/** @param attempt the attempt that this result is of, from 1; @param troubles how often in a row the store or registry failed. */
export function decide(result: AttemptResult, attempt: number, troubles: number, policy: DecidePolicy): Outcome {
  switch (result.kind) {
    case 'done':
      return ACK
    case 'duplicate':
      return ACK_DUPLICATE
    case 'parked':
      return PARK
    case 'unsent':
      return { kind: 'postpone', delayMs: UNSENT_MS, gate: false, error: result.error }
    case 'busy':
      return { kind: 'postpone', delayMs: BUSY_MS, gate: false, error: undefined }
    case 'unavailable':
      return {
        kind: 'postpone',
        delayMs: Math.min(UNAVAILABLE_MAX_MS, UNAVAILABLE_FIRST_MS * 2 ** Math.min(troubles, 10)),
        gate: true,
        error: result.error,
      }
    case 'refused':
      return giveUp(policy, result.reason, result.error)
    case 'failed':
      return failed(result.error, attempt, policy)
  }
}

function failed(error: unknown, attempt: number, policy: DecidePolicy): Outcome {
  if (isNonRetryable(error)) return giveUp(policy, 'non-retryable', error)
  const { retry } = policy
  const rule = retry.rules.find(({ matches }) => safely(matches, error)) ?? retry
  if (attempt >= rule.attempts) return giveUp(policy, 'attempts-exhausted', error)
  const delayMs = policy.delayMs(Math.min(LONGEST_MS, retryAfterMs(error) ?? backoffMs(rule, attempt)))
  const wait = policy.wait === 'released' && delayMs >= policy.heldBelowMs ? 'released' : 'held'
  return { kind: 'retry', delayMs, wait, error }
}

const giveUp = (policy: DecidePolicy, reason: Reason, error: unknown): Outcome => ({
  kind: policy.deadLetter ? 'dead-letter' : 'discard',
  reason,
  error,
})

/** A user's backoff that throws, or answers with no number, must not cost the delivery its retry. */
export const backoffMs = ({ backoff }: Pick<RetryPolicy, 'backoff'>, attempt: number): number => {
  try {
    const ms = backoff.delayMs(attempt)
    if (Number.isFinite(ms)) return Math.max(0, ms)
  } catch {
    // As for no number.
  }
  return DEFAULT_RETRY.backoff.delayMs(attempt)
}

/** A user's matcher that throws does not match. */
const safely = (matches: (error: unknown) => boolean, error: unknown): boolean => {
  try {
    return matches(error)
  } catch {
    return false
  }
}
