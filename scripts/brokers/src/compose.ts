// A server as a container, by docker compose or podman compose.
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type By, type Place, readState, type State } from './cache.ts'
import type { Driver, Status } from './driver.ts'
import type { Service } from './service.ts'
import { services } from './services.ts'
import { until } from './wait.ts'

export const COMPOSE_FILE: string = fileURLToPath(new URL('../../../docker-compose.yml', import.meta.url))
type Engine = Exclude<By, 'native'>

const ENGINES: readonly Engine[] = ['docker', 'podman']
const CALL_LIMIT_MS = 60_000

let found: Promise<Engine | undefined> | undefined

/** The container engine that answers and has compose, if any. Looked for once a process. */
export function engine(): Promise<Engine | undefined> {
  found ??= look()
  return found
}

async function look(): Promise<Engine | undefined> {
  for (const program of ENGINES) {
    try {
      // `info` asks the engine, `version` alone would not.
      await promisify(execFile)(program, ['info', '--format', '{{json .}}'], { timeout: 10_000 })
      await promisify(execFile)(program, ['compose', 'version'], { timeout: 10_000 })
      return program
    } catch {
      continue
    }
  }
  return undefined
}

/** Arguments after the engine's name. Each instance is a project of its own. */
export function composeArgs(place: Place, ...verb: readonly string[]): readonly string[] {
  const { profile } = services[place.name].compose
  const head = ['compose', '--project-name', `polybus-${place.instance}`, '--file', COMPOSE_FILE]
  return [...head, ...(profile === undefined ? [] : ['--profile', profile]), ...verb]
}

/** The variables by which docker-compose.yml takes its ports. */
export function composeEnv(service: Service, ports: State['ports']): Readonly<Record<string, string>> {
  return Object.fromEntries(service.ports.map(({ name, variable, port }) => [variable, String(ports[name] ?? port)]))
}

export function compose(program: Engine, service: Service, place: Place): Driver {
  const { name } = place
  const ports = (): State['ports'] => readState(place)?.ports ?? {}
  const options = (): { encoding: 'utf8'; timeout: number; env: NodeJS.ProcessEnv; maxBuffer: number } => ({
    encoding: 'utf8',
    timeout: CALL_LIMIT_MS,
    env: { ...process.env, ...composeEnv(service, ports()) },
    maxBuffer: 64 * 2 ** 20,
  })
  const call = async (...verb: readonly string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(program, composeArgs(place, ...verb), options())
    return stdout
  }
  const callNow = (...verb: readonly string[]): void => {
    execFileSync(program, composeArgs(place, ...verb), { ...options(), stdio: 'ignore' })
  }
  const keepLog = async (): Promise<void> => {
    mkdirSync(dirname(place.log), { recursive: true })
    writeFileSync(place.log, await call('logs', '--no-color', '--tail', '2000', name))
  }
  const status = async (): Promise<Status> => statusIn(await call('ps', '--all', '--format', 'json', name))
  // An engine refuses to end a paused container.
  const unpause = async (): Promise<void> => {
    if ((await status()) === 'paused') await call('unpause', name)
  }
  return {
    status,
    async start(signal) {
      await call('up', '--detach', '--wait', name)
      for (const command of service.compose.afterStart ?? []) await call('exec', '--no-TTY', name, ...command)
      const port = ports()[service.ports[0].name] ?? 0
      const answered = await until(() => service.answers(port, 1000), service.startLimitMs, { signal })
      await keepLog()
      if (!answered) throw new Error(`${service.title} does not answer on port ${port}. Its log: ${place.log}`)
      return {}
    },
    async stop() {
      await keepLog()
      await unpause()
      await call('stop', name)
    },
    async kill() {
      await keepLog()
      await unpause()
      await call('kill', name)
    },
    pause: () => callNow('pause', name),
    resume: () => callNow('unpause', name),
    async remove() {
      await call('rm', '--stop', '--force', '--volumes', name)
    },
  }
}

/** Of what `compose ps --format json` prints: a line a container, or one list in older versions. */
export function statusIn(out: string): Status {
  const rows = out
    .split('\n')
    .filter((line) => line.trim() !== '')
    .flatMap((line) => JSON.parse(line) as { State?: string } | readonly { State?: string }[])
  const states = rows.map(({ State }) => State)
  if (states.includes('running')) return 'running'
  return states.includes('paused') ? 'paused' : 'stopped'
}
