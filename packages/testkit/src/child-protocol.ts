import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Env, ItemChannel } from './env.ts'

interface Common {
  readonly harness: string
  readonly namespace: string
  readonly without: readonly string[]
  readonly channel: string
  readonly keyed: boolean
  readonly partitions: number | undefined
  readonly groups: readonly string[]
  readonly graceMs: number
}
export type ChildRole =
  | { readonly role: 'publish'; readonly count: number; readonly prefix: string }
  | {
      readonly role: 'consume'
      readonly concurrency: number
      /** After so many messages its handlers never end. */
      readonly stuckAfter: number
      /** Default: core's. */
      readonly attempts?: number
      /** The message whose handler kills the process. */
      readonly killer?: string
      /** Keeps the order over dead letters, with a store that its parent keeps for it. */
      readonly inOrder?: boolean
      /** The message that its handler refuses. */
      readonly refused?: string
    }
export type ChildTask = Common & ChildRole

export type FromChild =
  | { readonly kind: 'ready' }
  | { readonly kind: 'publishing'; readonly id: string; readonly key: string | undefined }
  | { readonly kind: 'resolved'; readonly id: string }
  | { readonly kind: 'started'; readonly run: number; readonly id: string; readonly attempt: number }
  | { readonly kind: 'succeeded'; readonly run: number; readonly id: string }
  | { readonly kind: 'refused'; readonly run: number }
  | { readonly kind: 'store'; readonly call: number; readonly method: string; readonly args: readonly unknown[] }
  /** Those that its feed owns now, told when they change. */
  | { readonly kind: 'lanes'; readonly lanes: readonly string[] | null }
/** An answer to a call of the store, or that a run is in the ledger. */
export type ToChild = { readonly run: number } | { readonly call: number; readonly result?: unknown }

/** The store of a child, kept by its parent: what it never answers is never done for the child. */
export type AnswerStore = (method: string, args: readonly unknown[]) => Promise<unknown>

export interface Child {
  readonly started: number
  readonly resolved: number
  /** What it told last; undefined before it has subscribed. */
  readonly lanes: readonly string[] | null | undefined
  /** The exit code or the signal's name, once it has ended by itself or was killed. */
  readonly over: string | undefined
  /** Resolves with the exit code or the signal's name. */
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<string>
}

/** Starts a member in a process of its own; the ledger gets what it does. Resolves when it is ready, or when its killer was quicker. */
export async function startChild(
  env: Env,
  flow: ItemChannel,
  label: string,
  role: ChildRole,
  graceMs = 1000,
  answer?: AnswerStore,
): Promise<Child> {
  const { spec } = flow['~definition']
  const task: ChildTask = {
    harness: env.harnessUrl,
    namespace: env.namespace,
    without: env.without,
    channel: flow.name,
    keyed: spec.keyed,
    partitions: spec.partitions,
    groups: spec.groups,
    graceMs,
    ...role,
  }
  const file = new URL(`./child.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)
  const process = fork(fileURLToPath(file), [JSON.stringify(task)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const exited = exitOf(process)
  // A case that fails must leave no process behind.
  env.signal.addEventListener('abort', () => void process.kill('SIGKILL'))

  const publishing = new Map<string, ReturnType<Env['ledger']['publishing']>>()
  const runs = new Map<number, ReturnType<Env['ledger']['started']>>()
  const state = {
    ready: false,
    started: 0,
    resolved: 0,
    lanes: undefined as readonly string[] | null | undefined,
  }
  process.on('message', (text: FromChild) => {
    switch (text.kind) {
      case 'ready':
        state.ready = true
        break
      case 'publishing':
        publishing.set(text.id, env.ledger.publishing(process, flow.name, text.id, text.key))
        break
      case 'resolved':
        state.resolved++
        publishing.get(text.id)?.()
        break
      case 'started':
        state.started++
        runs.set(
          text.run,
          env.ledger.started(flow.name, spec.groups[0] ?? 'work', {
            id: text.id,
            attempt: text.attempt,
            consumer: label,
          }),
        )
        break
      case 'succeeded':
        runs.get(text.run)?.()
        process.send({ run: text.run } satisfies ToChild, () => {})
        break
      case 'refused':
        runs.get(text.run)?.(true)
        process.send({ run: text.run } satisfies ToChild, () => {})
        break
      case 'store':
        answer?.(text.method, text.args).then(
          (result) => process.send({ call: text.call, result } satisfies ToChild, () => {}),
          () => {},
        )
        break
      case 'lanes':
        state.lanes = text.lanes
        break
    }
  })
  let over: string | undefined
  exited.then((how) => (over = how)).catch(() => {})
  await env.waitFor(
    () => state.ready || over !== undefined,
    `the process '${label}' to be ready`,
    Math.max(30_000, env.timing.patienceMs),
  )
  const killed = role.role === 'consume' && role.killer !== undefined && over === 'SIGKILL'
  if (!state.ready && !killed) throw new Error(`The process '${label}' ended with ${over} before it was ready.`)
  return {
    get started() {
      return state.started
    },
    get resolved() {
      return state.resolved
    },
    get lanes() {
      return state.lanes
    },
    get over() {
      return over
    },
    kill(signal) {
      process.kill(signal)
      return exited
    },
  }
}

async function exitOf(process: ChildProcess): Promise<string> {
  const [code, signal] = (await once(process, 'exit')) as [number | null, string | null]
  return signal ?? String(code)
}
