// What a case works with: stores that are closed when it ends, and waiting that has a limit.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type ClaimStore, type Clock, PolybusError, sleep, systemClock, type TransactionalStore } from '@polybus/core'
import type { OpenOptions, OpenStore, StoreHarness } from './harness.ts'

export type Outcome = 'done' | 'duplicate' | 'busy'

export interface Opened {
  /** The store, for cases of its kind alone. */
  readonly claims: ClaimStore
  readonly transactions: TransactionalStore<unknown>
  /** Handles one message with this key, whatever the kind; `work` while the claim is held. */
  handle(key: string, work?: (tx: unknown) => Promise<void>): Promise<Outcome>
  forget(prefix: string): Promise<void>
  write(tx: unknown, text: string): Promise<void>
  /** Undefined where the store knows no statements. */
  readonly say: OpenStore['say']
  close(): Promise<void>
}

export interface StoreCase {
  readonly id: string
  readonly title: string
  /** Default: both. */
  readonly kind?: StoreHarness['kind']
  /** Why it does not apply, or `undefined`. */
  readonly needs?: (harness: StoreHarness) => string | undefined
  run(env: StoreEnv): Promise<void>
}

export interface StoreEnv {
  readonly harness: StoreHarness
  readonly namespace: string
  readonly clock: Clock
  open(options?: Omit<OpenOptions, 'namespace'>): Promise<Opened>
  /** A store in a process of its own, that has opened it and waits for its orders. */
  child(): Promise<Child>
  /** What was committed, sorted. */
  effects(): Promise<readonly string[]>
  until(condition: () => unknown, what: string, limitMs?: number): Promise<void>
  /** The promise, or an error once it took longer than that. */
  within<T>(ms: number, promise: Promise<T>, what: string): Promise<T>
}

export type Order =
  /** So many at one time. */
  | { readonly kind: 'race'; readonly key: string; readonly count: number }
  /** Takes the key and never ends; a transactional store has written an effect by then. */
  | { readonly kind: 'hang'; readonly key: string; readonly effect: string }
export interface Answer {
  readonly outcomes: readonly Outcome[]
}
export interface Child {
  order(order: Order): Promise<Answer>
  /** By SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

export const LEASE_MS = 30_000
const LIMIT_MS = 15_000
const START_MS = 30_000

export const call = (signal: AbortSignal = new AbortController().signal): { readonly signal: AbortSignal } => ({
  signal,
})

export async function openStore(harness: StoreHarness, options: OpenOptions): Promise<Opened> {
  const { store, write, say, close } = await harness.open(options)
  let closed: Promise<void> | undefined
  const claimStore = store.kind === 'claim' ? store : undefined
  const transactional = store.kind === 'transactional' ? store : undefined
  const of = <T>(one: T | undefined): T => {
    if (!one) throw new Error(`${harness.name} is a ${store.kind} store`)
    return one
  }
  return {
    get claims() {
      return of(claimStore)
    },
    get transactions() {
      return of(transactional)
    },
    async handle(key, work) {
      if (store.kind === 'transactional') return store.run(key, async (tx) => work?.(tx), call())
      const claims = store
      const claim = await claims.claim(key, LEASE_MS)
      if (claim.status !== 'claimed') return claim.status
      await work?.(undefined)
      if (!(await claims.complete(key, claim.fence))) throw new Error(`the claim of ${key} was taken over`)
      return 'done'
    },
    async forget(prefix) {
      if (!store.forget) throw new Error(`${harness.name} cannot forget`)
      await store.forget(prefix)
    },
    say,
    async write(tx, text) {
      if (!write) throw new Error(`the harness of ${harness.name} has no write`)
      await write(tx, text)
    },
    close: () => (closed ??= close()),
  }
}

/** Runs one case in a namespace of its own. */
export async function runStoreCase(harness: StoreHarness, url: URL, one: StoreCase, namespace: string): Promise<void> {
  const clock = systemClock()
  const opened: Opened[] = []
  const children: ChildProcess[] = []
  const env: StoreEnv = {
    harness,
    namespace,
    clock,
    async open(options = {}) {
      const store = await openStore(harness, { namespace, ...options })
      opened.push(store)
      return store
    },
    async child() {
      const { child, process } = startChild(env, url)
      children.push(process)
      return child
    },
    async effects() {
      return [...((await harness.effects?.(namespace)) ?? [])].toSorted()
    },
    async until(condition, what, limitMs = LIMIT_MS) {
      const end = clock.now() + limitMs
      for (let pause = 5; !(await condition()); pause = Math.min(50, pause * 1.5)) {
        if (clock.now() > end) throw new Error(`Waited ${limitMs} ms in vain for ${what}`)
        await sleep(clock, pause)
      }
    },
    within: (ms, promise, what) => within(clock, ms, promise, what),
  }
  try {
    await harness.prepare?.(namespace)
    await one.run(env)
  } finally {
    for (const process of children) process.kill('SIGKILL')
    await Promise.all(opened.map((store) => store.close()))
    await harness.cleanup?.(namespace)
  }
}

async function within<T>(clock: Clock, ms: number, promise: Promise<T>, what: string): Promise<T> {
  let cancel = (): void => {}
  const late = new Promise<never>((_, reject) => {
    const timer = clock.timer(ms, () => reject(new Error(`Took longer than ${ms} ms: ${what}`)))
    cancel = () => timer.cancel()
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    cancel()
  }
}

export interface ChildTask {
  readonly harness: string
  readonly namespace: string
}

function startChild(env: StoreEnv, url: URL): { child: Child; process: ChildProcess } {
  const file = new URL(`./child.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)
  const task: ChildTask = { harness: url.href, namespace: env.namespace }
  const process = fork(fileURLToPath(file), [JSON.stringify(task)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const gone = new Promise<void>((resolve) => process.once('exit', () => resolve()))
  const said: unknown[] = []
  process.on('message', (message) => said.push(message))
  const next = async (): Promise<unknown> => {
    await env.until(
      () => said.length > 0 || process.exitCode !== null || process.signalCode !== null,
      'the child process to answer',
      START_MS,
    )
    if (said.length === 0) throw new Error('the child process ended')
    return said.shift()
  }
  const ready = next()
  // Whoever gives the first order hears of it.
  ready.catch(() => {})
  return {
    process,
    child: {
      async order(order) {
        await ready
        process.send(order)
        return (await next()) as Answer
      },
      async kill() {
        process.kill('SIGKILL')
        await gone
      },
    },
  }
}

/** That it rejects with this code, and in time. */
export async function rejects(promise: Promise<unknown>, code?: string): Promise<unknown> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    if (code !== undefined && !PolybusError.is(error, code))
      throw new Error(`Expected ${code}, got ${String(error)}`, { cause: error })
    return error
  }
  throw new Error(`Expected a rejection, but it resolved with ${JSON.stringify(value)}`)
}
