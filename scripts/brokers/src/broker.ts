// Instances: found or started, by one process at a time.
import { rmdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type By,
  cacheFolder,
  keepLog,
  type Place,
  placeOf,
  promisedPorts,
  readState,
  type State,
  writeState,
} from './cache.ts'
import { compose, engine } from './compose.ts'
import type { Driver, Status } from './driver.ts'
import type { Say } from './install.ts'
import { locked } from './lock.ts'
import { native } from './native.ts'
import { freePort, isFree, PORT_PATIENCE_MS } from './ports.ts'
import { self, stateOf } from './processes.ts'
import { provide } from './provisions.ts'
import { scoped } from './current-run.ts'
import type { Service } from './service.ts'
import { type BrokerName, services } from './services.ts'
import { BrokerUnavailable } from './unavailable.ts'
import { until } from './wait.ts'

export interface RunningBroker {
  readonly name: BrokerName
  readonly host: string
  readonly port: number
  /** All of them by name, `port` included: Kafka has `sasl` too. */
  readonly ports: Readonly<Record<string, number>>
  /** What `connect()` takes. */
  readonly url: string
  /** What the server prints. */
  readonly log: string
  /** The server's process where it runs natively now. */
  readonly pid: number | undefined
  /** Whether its data outlives a stop and a kill. Not SQS's: ElasticMQ is in memory. */
  readonly keepsData: boolean
  /** Ends it in good order; port and data (see {@link RunningBroker.keepsData}) are kept. Until this process ends or starts it again, `startBroker` elsewhere leaves it down. */
  stop(): Promise<void>
  /** As {@link RunningBroker.stop}, by SIGKILL. */
  kill(): Promise<void>
  /** Again, on the same port and with the data that it keeps. Resolves when it answers. */
  start(): Promise<void>
  /** By SIGSTOP: it neither answers nor closes. */
  pause(): void
  resume(): void
  /** Ends it and deletes its data; its logs move to the folder of kept logs. */
  remove(): Promise<void>
}

export interface StartOptions {
  /** Instances have their own port and data. Default `default`, which `npm run brokers` works on. */
  readonly instance?: string
  readonly signal?: AbortSignal
  /** Told of what takes long, such as an installation. Default: stderr. */
  readonly say?: Say
}

/**
 * The instance of that name: found running, else started. Within a test run (`beginRun`) it is the run's own instance.
 *
 * @throws {BrokerUnavailable} where it cannot be had on this machine, saying what is missing and how to get it.
 * @throws {Error} where it was there but did not start, with the last lines of its log.
 * @example
 * const redis = await startBroker('redis', { instance: 'conformance' })
 * await redis.kill()
 * await redis.start()
 */
export async function startBroker(
  name: BrokerName,
  { instance = 'default', signal, say = toStderr }: StartOptions = {},
): Promise<RunningBroker> {
  const place = placeOf(name, scoped(instance))
  await inTurn(place, () => ensure(place, say, { mayMove: true, others: 'respect' }, signal), signal)
  return handleOf(place, say)
}

/** As `startBroker`, of a place as it is, and whatever others hold. Answers whether it ran already. */
export function bringUp(place: Place, say: Say, signal?: AbortSignal): Promise<boolean> {
  return inTurn(place, () => ensure(place, say, { mayMove: true, others: 'overrule' }, signal), signal)
}

/** Answers whether it ran. */
export function takeDown(place: Place, { remove = false }: { remove?: boolean } = {}): Promise<boolean> {
  return inTurn(place, async () => {
    const ran = await endOf(place, remove ? 'kill' : 'stop')
    if (remove) await removeOf(place)
    return ran
  })
}

/**
 * Installs what a start would need.
 *
 * @throws {BrokerUnavailable} as `startBroker`.
 */
export async function obtain(name: BrokerName, say: Say): Promise<By> {
  const service = services[name]
  const by = await choose(service, name)
  if (by === 'native' && service.native) await provide(name, service.native, say)
  return by
}

export async function statusOf(place: Place): Promise<Status> {
  const state = readState(place)
  return state ? driverOf(place, state.by, toStderr).status() : 'stopped'
}

export function handleOf(place: Place, say: Say = toStderr): RunningBroker {
  const { name, log } = place
  const service = services[name]
  const { ports, by } = mustRead(place)
  const port = ports[service.ports[0].name] ?? 0
  const driver = driverOf(place, by, say)
  return {
    name,
    host: '127.0.0.1',
    port,
    ports,
    keepsData: service.keepsData,
    url: service.url(port),
    log,
    get pid() {
      return readState(place)?.processes['server']?.pid
    },
    stop: () => inTurn(place, () => hold(place, () => driver.stop())),
    kill: () => inTurn(place, () => hold(place, () => driver.kill())),
    start: () =>
      inTurn(place, async () => {
        await ensure(place, say, { mayMove: false, others: 'overrule' })
      }),
    pause() {
      writeState(place, { ...mustRead(place), held: { by: self(), as: 'paused' } })
      driver.pause()
    },
    resume() {
      driver.resume()
      writeState(place, released(mustRead(place)))
    },
    remove: () =>
      inTurn(place, async () => {
        await endOf(place, 'kill')
        await removeOf(place)
      }),
  }
}

/** The process that took it down or paused it on purpose, where that is alive and another one. */
function heldByOther(state: State): boolean {
  return state.held !== undefined && state.held.by.pid !== process.pid && stateOf(state.held.by) !== 'gone'
}

async function ensure(
  place: Place,
  say: Say,
  { mayMove, others }: { mayMove: boolean; others: 'respect' | 'overrule' },
  signal?: AbortSignal,
): Promise<boolean> {
  const known = readState(place)
  if (known && others === 'respect' && heldByOther(known)) return true
  const by = known && (await isThere(known.by)) ? known.by : await choose(services[place.name], place.name)
  const driver = driverOf(place, by, say)
  if (known && (await goesOn(place, known, driver, signal))) return true
  await claimPorts(place, by, mayMove, signal)
  await driver.start(signal)
  writeState(place, released(mustRead(place)))
  return false
}

/** Waits for one that runs already to answer. False where it does not run, or dies meanwhile. */
async function goesOn(place: Place, state: State, driver: Driver, signal: AbortSignal | undefined): Promise<boolean> {
  const service = services[place.name]
  const status = await driver.status()
  if (status === 'stopped') return false
  if (status === 'paused') driver.resume()
  writeState(place, released(state))
  const port = state.ports[service.ports[0].name] ?? 0
  let died = false
  const decided = await until(
    async () => {
      if (await service.answers(port, 1000)) return true
      died = (await driver.status()) === 'stopped'
      return died
    },
    service.startLimitMs,
    { signal, everyMs: 100 },
  )
  if (decided) return !died
  throw new Error(
    `${service.title} runs, but does not answer on port ${port}. \`npm run brokers -- down ${place.name}\` ends it. Its log: ${place.log}`,
  )
}

/** Ports that are kept, or new ones where it is the first start or somebody else took them meanwhile. */
function claimPorts(place: Place, by: By, mayMove: boolean, signal: AbortSignal | undefined): Promise<void> {
  const service = services[place.name]
  const names = [...service.ports.map(({ name }) => name), ...((by === 'native' && service.native?.ownPorts) || [])]
  const visible = by === 'native' ? [service.ports[0].name, ...names.slice(service.ports.length)] : names
  return locked(
    join(cacheFolder(), 'ports.lock'),
    async () => {
      const old = readState(place)
      const taken = promisedPorts(place)
      const ports: Record<string, number> = {}
      for (const name of visible) {
        const usual = place.instance === 'default' ? service.ports.find((port) => port.name === name)?.port : undefined
        const before = old?.ports[name]
        // A server that died just now can hold its port for a moment.
        if (before !== undefined && mayMove) await until(() => isFree(before), PORT_PATIENCE_MS, { signal })
        const port = before !== undefined && !mayMove ? before : await freePort(taken, before ?? usual)
        ports[name] = port
        taken.add(port)
      }
      writeState(place, { processes: {}, ...old, by, ports })
    },
    { limitMs: 30_000, signal },
  )
}

/** An engine may have gone since, with its containers. */
async function isThere(by: By): Promise<boolean> {
  return by === 'native' || by === (await engine())
}

async function choose(service: Service, name: BrokerName): Promise<By> {
  const found = await engine()
  if (found) return found
  if (service.native) return 'native'
  throw new BrokerUnavailable(name, 'only a container engine can start it, and none answers. Start Docker.')
}

function driverOf(place: Place, by: By, say: Say): Driver {
  const service = services[place.name]
  if (by !== 'native') return compose(by, service, place)
  if (!service.native) throw new BrokerUnavailable(place.name, 'it cannot run natively.')
  return native(service, service.native, place, say)
}

async function hold(place: Place, act: () => Promise<void>): Promise<void> {
  writeState(place, { ...mustRead(place), held: { by: self(), as: 'down' } })
  await act()
}

async function endOf(place: Place, how: 'stop' | 'kill'): Promise<boolean> {
  const state = readState(place)
  if (!state) return false
  const driver = driverOf(place, state.by, toStderr)
  const status = await driver.status()
  if (status === 'paused') driver.resume()
  // Also of a dead server: what served it may live.
  await driver[how]()
  writeState(place, released(mustRead(place)))
  return status !== 'stopped'
}

async function removeOf(place: Place): Promise<void> {
  const state = readState(place)
  if (state) await driverOf(place, state.by, toStderr).remove()
  keepLog(place)
  rmSync(place.folder, { recursive: true, force: true })
}

function released(state: State): State {
  const { held: _, ...rest } = state
  return rest
}

function mustRead(place: Place): State {
  const state = readState(place)
  if (!state) throw new Error(`${place.name} of ${place.instance} is gone: it was removed meanwhile.`)
  return state
}

export async function inTurn<T>(place: Place, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  // Beside the folder, so that removing the folder keeps it. Whoever is before us may be installing.
  const lock = join(dirname(place.folder), `${place.name}.lock`)
  try {
    return await locked(lock, work, { limitMs: 15 * 60_000, signal })
  } finally {
    removeIfEmpty(dirname(place.folder))
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

function toStderr(text: string): void {
  console.error(text)
}
