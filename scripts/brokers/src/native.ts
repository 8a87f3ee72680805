// A server as a process of this machine, detached from whoever started it.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Place, readState, type State, writeState } from './cache.ts'
import type { Driver } from './driver.ts'
import { lastLines, type Say } from './install.ts'
import { isFree, PORT_PATIENCE_MS } from './ports.ts'
import { childrenOf, end, pause, type ProcessRef, refOf, send, stateOf } from './processes.ts'
import { provide } from './provisions.ts'
import { saidBy } from './said-by.ts'
import type { Launch, Layout, Native, Service } from './service.ts'
import { until } from './wait.ts'

const STOP_LIMIT_MS = 30_000
const FORMAT_LIMIT_MS = 60_000
const LOG_BYTES = 2 ** 20

export function native(service: Service, own: Native, place: Place, say: Say): Driver {
  const state = (): State | undefined => readState(place)
  const server = (): ProcessRef | undefined => state()?.processes['server']
  const layoutOf = (ports: State['ports'], { jars, archive }: Pick<Layout, 'jars' | 'archive'>): Layout => ({
    folder: place.folder,
    data: place.data,
    logs: dirname(place.log),
    ports,
    jars,
    archive,
  })

  /** The server first: the others serve it. */
  const endAll = async (signal: NodeJS.Signals): Promise<void> => {
    const processes = Object.entries(state()?.processes ?? {})
    for (const [, ref] of processes.toReversed()) {
      const children = signal === 'SIGKILL' && own.forks ? childrenOf(ref) : []
      await end(ref, signal, signal === 'SIGKILL' ? 0 : STOP_LIMIT_MS)
      for (const child of children) await end(child, 'SIGKILL', 0)
    }
    const now = state()
    if (now) writeState(place, { ...now, processes: {} })
  }

  return {
    async status() {
      const ref = server()
      const now = ref ? stateOf(ref) : 'gone'
      return now === 'gone' ? 'stopped' : now
    },
    async start(signal) {
      const { programs, ...files } = await provide(place.name, own, say, signal)
      // What is left of a server that died by itself.
      await endAll('SIGKILL')
      const ports = state()?.ports ?? {}
      await allFree(service, ports)
      const layout = layoutOf(ports, files)
      mkdirSync(place.data, { recursive: true })
      mkdirSync(layout.logs, { recursive: true })
      for (const [file, content] of Object.entries(own.files?.(layout) ?? {}))
        writeFileSync(join(place.folder, file), content)
      rotate(place.log)
      for (const file of own.leftovers?.(layout) ?? []) rmSync(file, { force: true })
      await format(service, own, layout, programs, place, signal)

      const dead: string[] = []
      for (const launch of own.processes(layout)) {
        const child = run(launch, programs[launch.program] ?? launch.program, place)
        child.once('error', (error) => dead.push(error.message))
        child.once('exit', (code, killer) => dead.push(`${launch.program} ended with ${killer ?? `code ${code}`}`))
        const ref = child.pid === undefined ? undefined : refOf(child.pid)
        const now = state()
        if (ref && now) writeState(place, { ...now, processes: { ...now.processes, [launch.role]: ref } })
      }
      const port = ports[service.ports[0].name] ?? 0
      try {
        const answered = await until(
          async () => dead.length > 0 || (await service.answers(port, 1000)),
          service.startLimitMs,
          { signal, everyMs: 20 },
        )
        if (dead.length > 0) throw new Error(`${dead.join(', ')}.`)
        if (!answered) throw new Error(`It does not answer on port ${port} within ${service.startLimitMs / 1000} s.`)
      } catch (error) {
        await endAll('SIGKILL')
        signal?.throwIfAborted()
        throw new Error(`${service.title} did not start: ${(error as Error).message}\n${excerpt(own, place)}`, {
          cause: error,
        })
      }
      return state()?.processes ?? {}
    },
    stop: () => endAll(own.stopSignal ?? 'SIGTERM'),
    kill: () => endAll('SIGKILL'),
    pause() {
      const ref = server()
      if (!ref || !pause(ref)) throw new Error(`${place.name} of ${place.instance} does not run.`)
      if (own.forks) for (const child of childrenOf(ref)) pause(child)
    },
    resume() {
      const ref = server()
      if (ref && own.forks) for (const child of childrenOf(ref)) send(child, 'SIGCONT')
      if (ref) send(ref, 'SIGCONT')
    },
    async remove() {},
  }
}

async function format(
  { title }: Service,
  own: Native,
  layout: Layout,
  programs: Readonly<Record<string, string>>,
  { folder, log }: Place,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!own.format || existsSync(join(folder, own.format.unless))) return
  const { program, args, env } = own.format.launch(layout)
  const options = { cwd: folder, timeout: FORMAT_LIMIT_MS, env: { ...process.env, ...env }, ...(signal && { signal }) }
  try {
    const { stdout, stderr } = await promisify(execFile)(programs[program] ?? program, args, options)
    appendFileSync(log, stderr + stdout)
  } catch (error) {
    signal?.throwIfAborted()
    const said = saidBy(error)
    appendFileSync(log, `${said}\n`)
    throw new Error(`${title} did not start: its data could not be prepared.\n${lastLines(said, 8)}`, { cause: error })
  }
}

async function allFree(service: Service, ports: State['ports']): Promise<void> {
  const used = []
  for (const [name, port] of Object.entries(ports))
    // A killed server's port may take a moment.
    if (!(await until(() => isFree(port), PORT_PATIENCE_MS))) used.push(`${port} (${name})`)
  if (used.length > 0)
    throw new Error(`${service.title} cannot start: port ${used.join(', ')} is taken by another process.`)
}

export function run(
  { args, env }: Omit<Launch, 'role' | 'program'>,
  program: string,
  { folder, log }: Place,
): ChildProcess {
  const output = openSync(log, 'a')
  try {
    const child = spawn(program, args, {
      cwd: folder,
      detached: true,
      stdio: ['ignore', output, output],
      env: { ...process.env, ...env },
    })
    child.unref()
    return child
  } finally {
    closeSync(output)
  }
}

/** The last one is kept beside it. */
function rotate(log: string): void {
  if (existsSync(log) && statSync(log).size > LOG_BYTES) renameSync(log, `${log}.1`)
}

function excerpt({ log }: Native, place: Place): string {
  const files = [...(log ? [join(dirname(place.log), log)] : []), place.log]
  return files
    .filter((file) => existsSync(file))
    .map((file) => `The last lines of ${file}:\n${lastLines(readFileSync(file, 'utf8'), 15).replaceAll(/^/gm, '  ')}`)
    .join('\n')
}
