import type { ClaimStore, Clock, Duration, MaybePromise, TransactionalStore } from '@polybus/core'

/** What the suite needs to know about a store. A module exports it by these names: child processes import it too. */
export interface StoreHarness {
  /** For the names of the tests. */
  readonly name: string
  readonly kind: 'claim' | 'transactional'
  /** False where the store is one process's memory: several clients and processes don't apply. Default true. */
  readonly shared?: boolean
  /** Who says what time it is: the store's own server (or file), or the injected clock of its process. Default `'server'`. */
  readonly time?: 'server' | 'process'
  /** Whether the store can park messages, for order-preserving dead letters. */
  readonly parks?: boolean
  /** Called once before a namespace is used, by the parent alone. */
  prepare?(namespace: string): Promise<void>
  /** A store over a client of its own, as another process would have it. */
  open(options: OpenOptions): OpenStore | Promise<OpenStore>
  /** Committed effects that {@link OpenStore.write} wrote, read past the store. Transactional stores need it. */
  effects?(namespace: string): Promise<readonly string[]>
  /** Rows or keys that the store holds, those past their time included. Without it cleaning is not looked at. */
  rows?(namespace: string): Promise<number>
  /** Puts in this many completed keys by the fastest way, for the look at a million of them. Default: claims and completes them. */
  fill?(namespace: string, count: number): Promise<void>
  /** The server behind the store, which is this harness's alone. */
  readonly server?: ServerFaults
  /** Removes the namespace. */
  cleanup?(namespace: string): Promise<void>
}

export interface OpenOptions {
  /** Stores of one namespace share their keys: a table, a prefix, a file. */
  readonly namespace: string
  /** How long a completed key is remembered. Default: the store's. */
  readonly ttl?: Duration | undefined
  /** How often what is past its time is removed. Default: the store's. */
  readonly cleanEvery?: Duration | undefined
  /** How long a call may take. Default: the store's. */
  readonly timeout?: Duration | undefined
  /** This process's clock. */
  readonly clock?: Clock | undefined
}

export interface OpenStore {
  readonly store: ClaimStore | TransactionalStore<unknown>
  /** An insert into the table of effects, by the handler's own `tx`. Transactional stores need it. */
  write?(tx: unknown, text: string): Promise<void>
  /** A statement as it is, by the handler's own `tx`. Transactional stores over SQL need it. */
  say?(tx: unknown, statement: string): Promise<void>
  /** The store, then its client. */
  close(): Promise<void>
}

export interface ServerFaults {
  /** By SIGKILL. */
  kill(): Promise<void>
  /** With what it had on disk; resolves when it answers. */
  start(): Promise<void>
  /** By SIGSTOP: it neither answers nor closes. */
  pause?(): MaybePromise<void>
  resume?(): MaybePromise<void>
}

/** @throws {Error} where the module is no harness. */
export async function loadStoreHarness(url: URL | string): Promise<StoreHarness> {
  const loaded = (await import(String(url))) as Partial<StoreHarness>
  const { name, kind, open } = loaded
  if (typeof name !== 'string' || (kind !== 'claim' && kind !== 'transactional') || typeof open !== 'function')
    throw new Error(`${String(url)} is no store harness: it must export name, kind and open.`)
  if (kind === 'transactional' && typeof loaded.effects !== 'function')
    throw new Error(`${String(url)}: the harness of a transactional store must export effects.`)
  return loaded as StoreHarness
}
