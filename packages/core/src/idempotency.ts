// The contract of idempotency stores. The stores themselves are in @polybus/idempotency.
import type { Call } from './adapter.ts'

export type MaybePromise<T> = T | Promise<T>

/** Remembers what was handled. `Tx` is the transaction that a transactional store hands to the handler. */
export interface IdempotencyStore<Tx = undefined> {
  readonly kind: 'claim' | 'transactional'
  readonly '~tx'?: Tx
}

export type Claim =
  /** Ours until the lease ends; `fence` proves it later. */
  | { readonly status: 'claimed'; readonly fence: unknown }
  /** Handled before. */
  | { readonly status: 'duplicate' }
  /** Somebody else is at it. */
  | { readonly status: 'busy' }

/**
 * `claim -> run -> complete`; only what succeeded is recorded. Methods may answer at once or by a promise; they throw where
 * the store cannot be reached, which pauses consuming.
 */
export interface ClaimStore extends IdempotencyStore<undefined> {
  readonly kind: 'claim'
  claim(key: string, leaseMs: number): MaybePromise<Claim>
  /** False where the fence is no longer the claim's: another one took over. */
  complete(key: string, fence: unknown): MaybePromise<boolean>
  /** Gives an unfinished claim back. */
  release(key: string, fence: unknown): MaybePromise<void>
  renew(key: string, fence: unknown, leaseMs: number): MaybePromise<boolean>
  /** Forgets every key that starts so, for a replay with `dedupe: 'forget'`. */
  forget?(prefix: string): MaybePromise<void>
}

/** The dedup row and the handler's own writes commit together. */
export interface TransactionalStore<Tx> extends IdempotencyStore<Tx> {
  readonly kind: 'transactional'
  /** Rolls back when `work` rejects, or when the signal aborts: then `tx` refuses use. */
  run(key: string, work: (tx: Tx) => Promise<void>, call: Call): Promise<'done' | 'duplicate' | 'busy'>
  forget?(prefix: string): MaybePromise<void>
}

/** The parts joined by a separator that no name can hold. */
export const groupPrefix = (channel: string, group: string): string => `${channel}:${group}:`
