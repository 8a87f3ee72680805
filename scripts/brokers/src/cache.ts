// Where instances live: a folder an instance and service, outside the tree.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ProcessRef } from './processes.ts'
import { type BrokerName, isBroker } from './services.ts'

/** A process of this machine, or a container by the compose of that engine. */
export type By = 'native' | 'docker' | 'podman'

/** What is known of an instance; `state.json` in its folder. */
export interface State {
  readonly by: By
  readonly ports: Readonly<Record<string, number>>
  /** By role, of a native one; gone when it is stopped. */
  readonly processes: Readonly<Record<string, ProcessRef>>
  /** Somebody alive took it down or paused it on purpose: others leave it so. */
  readonly held?: { readonly by: ProcessRef; readonly as: 'down' | 'paused' }
}

export interface Place {
  readonly name: BrokerName
  /** With the run that it belongs to, if any. */
  readonly instance: string
  readonly folder: string
  readonly data: string
  readonly log: string
}

export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'polybus', 'brokers')
}

export function placeOf(name: BrokerName, instance: string): Place {
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(instance))
    throw new Error(`'${instance}' is no name for an instance: lower-case letters, digits, - and _, at most 64.`)
  const folder = join(cacheFolder(), instance, name)
  return { name, instance, folder, data: join(folder, 'data'), log: join(folder, 'log', 'output.log') }
}

export const instances = (): readonly string[] => folders(cacheFolder())

/** All that have a folder, running or not. */
export function places(): readonly Place[] {
  return instances().flatMap((instance) =>
    folders(join(cacheFolder(), instance))
      .filter(isBroker)
      .map((name) => placeOf(name, instance)),
  )
}

/** Ports of all others, whether they listen now or not. */
export function promisedPorts(place: Place): Set<number> {
  const others = places().filter(({ folder }) => folder !== place.folder)
  return new Set(others.flatMap((other) => Object.values(readState(other)?.ports ?? {})))
}

/** Undefined where there is none, or none that can be read: a crash of the machine can leave an empty file. */
export function readState({ folder }: Place): State | undefined {
  try {
    const state = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as Partial<State>
    return state.by && state.ports && state.processes ? (state as State) : undefined
  } catch {
    return undefined
  }
}

export function writeState({ folder }: Place, state: State): void {
  mkdirSync(folder, { recursive: true })
  const draft = join(folder, `state.json.${process.pid}`)
  writeFileSync(draft, `${JSON.stringify(state, undefined, 2)}\n`)
  renameSync(draft, join(folder, 'state.json'))
}

const folders = (path: string): readonly string[] =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
    : []

const LOGS_KEPT = 20

/** Logs outlive their instance: of the last twenty that were removed. */
export function keepLog({ instance, name, folder }: Place): void {
  const from = join(folder, 'log')
  if (!existsSync(from)) return
  const kept = logsFolder()
  const to = join(kept, `${instance}-${name}`)
  mkdirSync(kept, { recursive: true })
  rmSync(to, { recursive: true, force: true })
  renameSync(from, to)
  const oldest = folders(kept)
    .map((log) => ({ path: join(kept, log), at: statSync(join(kept, log), { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .toSorted((a, b) => b.at - a.at)
    .slice(LOGS_KEPT)
  for (const { path } of oldest) rmSync(path, { recursive: true, force: true })
}

export function logsFolder(): string {
  return `${cacheFolder()}-logs`
}
