// A Redis master, its replica and three sentinels, as processes of this machine: to kill a master and see another take its
// place. They are one instance among the others, so that `status`, `down` and the end of a test run find them.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inTurn, takeDown } from './broker.ts'
import { cacheFolder, type Place, placeOf, promisedPorts, readState, writeState } from './cache.ts'
import { scoped } from './current-run.ts'
import type { Say } from './install.ts'
import { locked } from './lock.ts'
import { run } from './native.ts'
import { freePort, isFree, PORT_PATIENCE_MS } from './ports.ts'
import { greeting, type Probe } from './probe.ts'
import { end, pause, refOf, send } from './processes.ts'
import { provide } from './provisions.ts'
import { REDIS, redisFlags, services } from './services.ts'
import { until } from './wait.ts'

const NAME = 'polybus'
const SENTINELS = ['sentinel-1', 'sentinel-2', 'sentinel-3'] as const
const SERVERS = ['server', 'replica'] as const
/** `server` is the master at first; either may be it later. */
export type RedisServer = (typeof SERVERS)[number]
type Role = RedisServer | (typeof SENTINELS)[number]
const LIMIT_MS = 30_000

export interface Sentinels {
  /** What the sentinels call the master. */
  readonly name: string
  readonly sentinels: readonly { readonly host: string; readonly port: number }[]
  readonly ports: Readonly<Record<RedisServer, number>>
  /** By SIGKILL. */
  kill(server: RedisServer): Promise<void>
  /** By SIGSTOP: it neither answers nor closes. */
  pause(server: RedisServer): void
  resume(server: RedisServer): void
  /** Again, with its data. As a master, until the sentinels tell it what it is. */
  start(server: RedisServer): Promise<void>
  /** Resolves when the sentinels say that this one is the master, and it says so itself. */
  promoted(server: RedisServer): Promise<void>
  /** Resolves when the other one's changes reach this one. */
  following(server: RedisServer): Promise<void>
  /** Ends all and deletes their data. */
  remove(): Promise<void>
}

/**
 * Starts them from nothing. A master that is silent for two seconds is replaced.
 *
 * @throws {BrokerUnavailable} where Redis cannot be had natively, saying how to get it.
 * @example
 * const redis = await startSentinels({ instance: 'failover' })
 * await redis.kill('server')
 * await redis.promoted('replica')
 */
export async function startSentinels({
  instance,
  say = console.error,
}: {
  readonly instance: string
  readonly say?: Say
}): Promise<Sentinels> {
  const { native } = services.redis
  if (!native) throw new Error('Redis has no native form.')
  const { programs } = await provide('redis', native, say)
  const place = placeOf('redis', scoped(instance))
  await takeDown(place, { remove: true })
  const ports = await inTurn(place, () => claim(place))
  const launch = (role: Role, program: string, args: readonly string[]): void => {
    const { pid } = run({ args }, programs[program] ?? program, place)
    const ref = pid === undefined ? undefined : refOf(pid)
    const now = readState(place)
    if (ref && now) writeState(place, { ...now, processes: { ...now.processes, [role]: ref } })
  }
  const folderOf = (role: Role): string => {
    const folder = join(place.data, role)
    mkdirSync(folder, { recursive: true })
    return folder
  }
  const startServer = (role: RedisServer, more: Readonly<Record<string, string>> = {}): Promise<void> => {
    const own = { port: ports[role], bind: '127.0.0.1', dir: folderOf(role), daemonize: 'no' }
    // The replica is sent what it lacks at once, instead of after five seconds.
    launch(role, 'redis-server', redisFlags({ ...REDIS, ...own, 'repl-diskless-sync-delay': 0, ...more }))
    return says(ports[role], ANSWERS, `${role} answers`)
  }
  const refFor = (role: RedisServer): { pid: number; born: string } => {
    const ref = readState(place)?.processes[role]
    if (!ref) throw new Error(`The ${role} of ${instance} does not run.`)
    return ref
  }
  const replies = (role: RedisServer): Promise<void> => says(ports[role], FOLLOWS, `${role} follows`)

  try {
    mkdirSync(join(place.folder, 'log'), { recursive: true })
    await startServer('server')
    await startServer('replica', { replicaof: `127.0.0.1 ${ports.server}` })
    // Before the sentinels look: what they do not see at first they look for ten seconds later.
    await replies('replica')
    for (const role of SENTINELS) {
      const file = join(folderOf(role), 'sentinel.conf')
      writeFileSync(file, sentinelFile(ports[role], folderOf(role), ports.server))
      launch(role, 'redis-sentinel', [file])
    }
    for (const role of SENTINELS) await says(ports[role], READY, `${role} knows the others and the replica`)
  } catch (error) {
    await takeDown(place, { remove: true })
    throw error
  }
  return {
    name: NAME,
    sentinels: SENTINELS.map((role) => ({ host: '127.0.0.1', port: ports[role] })),
    ports: { server: ports.server, replica: ports.replica },
    kill: (server) => end(refFor(server), 'SIGKILL', 0),
    pause(server) {
      pause(refFor(server))
    },
    resume: (server) => void send(refFor(server), 'SIGCONT'),
    async start(server) {
      await until(() => isFree(ports[server]), PORT_PATIENCE_MS)
      await startServer(server)
    },
    async promoted(server) {
      const port = `$${String(ports[server]).length}\r\n${ports[server]}\r\n`
      for (const role of SENTINELS)
        await says(
          ports[role],
          greeting(`SENTINEL GET-MASTER-ADDR-BY-NAME ${NAME}\r\n`, (heard) => heard.endsWith(port)),
          `${role} says that the ${server} is the master`,
        )
      await says(ports[server], MASTER, `the ${server} is the master`)
    },
    following: replies,
    remove: async () => void (await takeDown(place, { remove: true })),
  }
}

const ANSWERS = services.redis.answers
const MASTER = greeting('ROLE\r\n', (heard) => heard.startsWith('*3\r\n$6\r\nmaster'))
/** A replica whose link to its master is up. */
const FOLLOWS = greeting('ROLE\r\n', (heard) => heard.includes('\r\nslave\r\n') && heard.includes('connected\r\n'))
const READY: Probe = async (port, limitMs) =>
  (await greeting(`SENTINEL CKQUORUM ${NAME}\r\n`, (heard) => heard.startsWith('+OK 3 '))(port, limitMs)) &&
  (await greeting(`SENTINEL REPLICAS ${NAME}\r\n`, (heard) => heard.startsWith('*1'))(port, limitMs))

async function says(port: number, probe: Probe, what: string): Promise<void> {
  if (!(await until(() => probe(port, 1000), LIMIT_MS)))
    throw new Error(`Redis with sentinels: not within ${LIMIT_MS / 1000} s: ${what}.`)
}

/**
 * Sentinels write what they learn into it. They connect to a master that they have just learned of within a second
 * (`SENTINEL_PING_PERIOD`): if that were all the time it has to answer, it would be down before it is asked.
 */
const sentinelFile = (port: number, folder: string, master: number): string =>
  [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${master} 2`,
    `sentinel down-after-milliseconds ${NAME} 2000`,
    `sentinel failover-timeout ${NAME} 5000`,
    '',
  ].join('\n')

function claim(place: Place): Promise<Record<Role, number>> {
  return locked(
    join(cacheFolder(), 'ports.lock'),
    async () => {
      const taken = promisedPorts(place)
      const ports: Partial<Record<Role, number>> = {}
      for (const role of [...SERVERS, ...SENTINELS]) {
        const port = await freePort(taken)
        taken.add(port)
        ports[role] = port
      }
      writeState(place, { by: 'native', ports: { redis: ports.server ?? 0, ...ports }, processes: {} })
      return ports as Record<Role, number>
    },
    { limitMs: LIMIT_MS },
  )
}
