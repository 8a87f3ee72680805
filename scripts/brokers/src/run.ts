// A test run has instances of its own, which end with it: two runs at once never meet, and each starts from nothing.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { takeDown } from './broker.ts'
import { cacheFolder, instances, type Place, places } from './cache.ts'
import { currentRun, RUN_VARIABLE } from './current-run.ts'
import { type ProcessRef, refOf, self } from './processes.ts'

export interface TestRun {
  /** Removes every instance that the run's processes started; their logs are kept. Answers how many there were. */
  end(): Promise<number>
}

/**
 * Makes this process, and the children that it starts from now on, a run: their instances are its own, and end at `end`
 * or, where the process dies first, by a watching process. Within a run it does nothing: that run goes on.
 *
 * @example
 * const run = beginRun()
 * try { await tests() } finally { await run.end() }
 */
export function beginRun(): TestRun {
  if (currentRun() !== undefined) return { end: () => Promise.resolve(0) }
  const run = nameOf(self())
  process.env[RUN_VARIABLE] = run
  const watching = watch(run)
  return {
    async end() {
      const count = await endRun(run)
      watching.stdin?.destroy()
      delete process.env[RUN_VARIABLE]
      return count
    },
  }
}

/** Removes all that processes of the run started. */
export async function endRun(run: string): Promise<number> {
  const own = places().filter(({ instance }) => runOf(instance)?.run === run)
  await Promise.all(own.map((place) => takeDown(place, { remove: true })))
  // A process that was killed while it held a lock leaves that.
  for (const instance of instances())
    if (runOf(instance)?.run === run) rmSync(join(cacheFolder(), instance), { recursive: true, force: true })
  return own.length
}

/** Whose owner was killed together with its watcher, and which left something. */
export function deadRuns(): readonly string[] {
  const dead = instances()
    .map(runOf)
    .filter((found) => found?.alive === false)
  return [...new Set(dead.flatMap((found) => found?.run ?? []))]
}

/** What they left. */
export function leftovers(): readonly Place[] {
  return places().filter(({ instance }) => runOf(instance)?.alive === false)
}

/** The run that an instance belongs to, and whether its owner lives; undefined where it belongs to none. */
export function runOf(instance: string): { readonly run: string; readonly alive: boolean } | undefined {
  const [run, pid] = /^run-(\d+)-[0-9a-f]{8}/.exec(instance) ?? []
  if (run === undefined) return undefined
  const owner = refOf(Number(pid))
  return { run, alive: owner !== undefined && nameOf(owner) === run }
}

/** By the owner's pid and a digest of its birth, so that everybody can tell whether it lives. */
function nameOf({ pid, born }: ProcessRef): string {
  return `run-${pid}-${createHash('sha256').update(born).digest('hex').slice(0, 8)}`
}

/** Its stdin ends when we do, however we do. */
function watch(run: string): ChildProcess {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const program = fileURLToPath(new URL(`./watcher.${ending}`, import.meta.url))
  const child = spawn(process.execPath, [program, run], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    // Not what the tests' own processes are told, such as a debugger's port.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] },
  })
  child.on('error', (error) => console.error(`Brokers of this run are not watched: ${error.message}`))
  child.unref()
  ;(child.stdin as Partial<{ unref(): void }> | null)?.unref?.()
  return child
}
