// The contract of idempotency stores. The stores themselves are in @polybus/idempotency.
import type { Call } from './adapter.ts'

export type MaybePromise<T> = T | Promise<T>

/** Remembers what was handled. `Tx` is the transaction that a transactional store hands to the handler. */
export interface IdempotencyStore<Tx = undefined> {
  readonly kind: 'claim' | 'transactional'
  readonly '~tx'?: Tx
  /**
   * Asked once before a consumer starts. What it throws refuses the start, such as tables that are missing and may not be made; a store that is
   * away (a retryable error) does not: the consumer waits for it.
   */
  ready?(): MaybePromise<void>
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
  /** For `deadLetter: 'in-order'`. */
  readonly parking?: Parking
}

/** The dedup row and the handler's own writes commit together. */
export interface TransactionalStore<Tx> extends IdempotencyStore<Tx> {
  readonly kind: 'transactional'
  /** Rolls back when `work` rejects, or when the signal aborts: then `tx` refuses use. */
  run(key: string, work: (tx: Tx) => Promise<void>, call: Call): Promise<'done' | 'duplicate' | 'busy'>
  forget?(prefix: string): MaybePromise<void>
  /** For `deadLetter: 'in-order'`. */
  readonly parking?: TransactionalParking<Tx>
}

/** `dead`: in the dead letters, until somebody replays or discards it. `due`: to be sent to its group. `sent`: on its way there, or being handled. */
export type HeadState = 'dead' | 'due' | 'sent'
export interface ParkedMessage {
  readonly id: string
  /** What core made of the message: text without line breaks, which only core reads. */
  readonly message: string
}
export interface ParkedLine {
  readonly line: string
  /** The id of its head. */
  readonly head: string
  readonly state: HeadState
  /** How many wait behind the head. */
  readonly waiting: number
}

/**
 * The messages of a key that wait behind one that was dead-lettered. A line is there while its key is blocked: a head (with
 * its id, message and {@link HeadState}), and a tail in order of arrival. Nothing of a line ever expires. Every method is one
 * atomic step for its line, and may come again after any crash: the same ids give the same line. Line and id are
 * well-formed texts of any length, without NUL. Methods throw where the store cannot be reached or is full, which pauses consuming.
 */
export interface Parking {
  /** Whether what is parked outlives this process: what is parked is acknowledged at the broker. */
  readonly durable: boolean
  /**
   * A message comes in. `free`: there is no line. `head`: it is the line's head; nothing changes. `parked`: another one is;
   * from now on it is in the tail, where it keeps the place that it may have had already.
   */
  enter(line: string, id: string, message: string): MaybePromise<'free' | 'head' | 'parked'>
  /**
   * A message is about to be dead-lettered. `head`: it was or became the line's head, is now `dead`, and `message` replaces
   * what was kept of it. `parked`: another one is the head, so this is as {@link Parking.enter}.
   */
  block(line: string, id: string, message: string): MaybePromise<'head' | 'parked'>
  /**
   * A message is done: handled or discarded. If it is the head, the first of the tail becomes the head, `due`; without a tail
   * the line goes. Answers the head that the line has then, if that is `due`.
   */
  advance(line: string, id: string): MaybePromise<ParkedMessage | undefined>
  /** The head was sent to its group: `due` becomes `sent`. Nothing changes where it is another one by now, or not `due`. */
  sent(line: string, id: string): MaybePromise<void>
  head(line: string): MaybePromise<(ParkedMessage & { readonly state: HeadState }) | undefined>
  /** Lines that start so, sorted by `line` in any fixed order of the store's, those behind `after`, at most `limit`. */
  list(prefix: string, after: string | undefined, limit: number): MaybePromise<readonly ParkedLine[]>
}

/** Of a transactional store: `tx` is the handler's transaction. */
export interface TransactionalParking<Tx> extends Parking {
  /** As {@link Parking.enter}, but changes nothing and locks nothing; `behind`: it would be parked. */
  look(line: string, id: string, tx: Tx): MaybePromise<'free' | 'head' | 'behind'>
  /** With `tx` it is part of that transaction. */
  advance(line: string, id: string, tx?: Tx): MaybePromise<ParkedMessage | undefined>
}

/** The parts joined by a separator that no name can hold. */
export const groupPrefix = (channel: string, group: string): string => `${channel}:${group}:`

/** The name of a key's line in a store. */
export const lineOf = (channel: string, group: string, key: string): string =>
  groupPrefix(channel, group) + escapeText(key)

/** What no database can keep as text, NUL and lone surrogates, as `%` and its code; reversible. */
export const escapeText = (text: string): string =>
  text.replace(/[%\0\p{Surrogate}]/gu, (character) => `%${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
export const unescapeText = (text: string): string =>
  text.replace(/%([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
