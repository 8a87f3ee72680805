// One connection: what ioredis does not do by itself is here. It never reconnects, resends or queues (core makes a new one),
// a server that does not answer is given up, and every error says whether bytes may have left.
import { type Command as Request, Redis, type RedisOptions as ClientOptions } from 'ioredis'
import {
  type Call,
  type Clock,
  createChain,
  heedAbort,
  type Heeding,
  heedNoMore,
  joinChain,
  leaveChain,
  type Linked,
  type PolybusError,
  shiftChain,
} from '@polybus/core'
import { aborted, connectError, connectionFailed, redisError, tooOld } from './errors.ts'
import { type Answer, type Arg, type Args, exchange } from './exchange.ts'
import type { Settings } from './options.ts'
import { converting, type Expect, readReplies } from './replies.ts'
import { SCRIPT_TEXTS, type ScriptName, shaOf } from './scripts/index.ts'

/** `keys` are named where it is refused. */
export interface Command {
  readonly args: Args
  readonly keys: readonly string[]
  /** Its reply has entries, whose fields lie so deep: it comes back as replies.ts says. Of single calls alone. */
  readonly fieldsAt?: number
}
export type Reply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: PolybusError }

export interface CallOptions {
  /** Its abort ends the wait, and not what the server does. */
  readonly signal?: AbortSignal | undefined
  /** Longer than usual, for a command that blocks. */
  readonly blockMs?: number | undefined
}

export interface Link {
  readonly client: Redis
  readonly version: readonly [number, number]
  readonly dead: PolybusError | undefined
  /** Texts come back as bytes. */
  call(command: Command, options?: CallOptions): Promise<unknown>
  /** One round trip, a reply each. Rejects only where nothing was answered. `atomic`: all in one transaction. */
  batch(commands: readonly Command[], options?: CallOptions & { readonly atomic?: boolean }): Promise<readonly Reply[]>
  onDead(run: (error: PolybusError) => void): () => void
  end(error: PolybusError): void
}

interface Opening extends Link {
  version: readonly [number, number]
  /** Nothing is on its way. */
  ready(): void
}

const OURS: ClientOptions = {
  lazyConnect: true,
  retryStrategy: null,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  sentinelRetryStrategy: () => null,
  // Whatever ends is destroyed at once: the timer that waits for it would keep the process alive.
  disconnectTimeout: 0,
  enableOfflineQueue: false,
  enableReadyCheck: false,
  enableAutoPipelining: false,
  // Nothing here needs RESP3, and servers behind old proxies do not speak it.
  protocol: 2,
}

export const command = (name: string, keys: readonly string[], ...args: readonly Arg[]): Command => ({
  args: [name, ...keys, ...args],
  keys,
})
export const script = (name: ScriptName, keys: readonly string[], ...args: readonly Arg[]): Command => ({
  args: ['EVALSHA', shaOf(name), keys.length, ...keys, ...args],
  keys,
})

/** @throws {PolybusError} what `connect` of an adapter may: typed, without secrets. */
export async function openLink(settings: Settings, clock: Clock, call: Call, first: boolean): Promise<Link> {
  const client = newClient(settings)
  let seen: unknown
  const sentinels: string[] = []
  client.on('error', (error: unknown) => (seen = error))
  client.on('sentinelError', ({ message }: Error) => sentinels.push(message))
  const stop = (): void => destroy(client)
  const late = clock.timer(settings.commandTimeoutMs, () => {
    seen ??= connectionFailed(`no answer within ${settings.commandTimeoutMs} ms`, 'no')
    stop()
  })
  call.signal.addEventListener('abort', stop)
  try {
    await client.connect()
    // A database that cannot be selected: ioredis would go on in number 0.
    if (seen !== undefined) throw redisError(seen)
    const link = createLink(client, settings, clock)
    try {
      await prepare(link, call)
      link.ready()
      return link
    } catch (error) {
      link.end(redisError(error))
      throw error
    }
  } catch (error) {
    stop()
    if (call.signal.aborted) throw aborted('no')
    // Why a socket failed, and that a password is wrong, comes only as an event.
    throw connectError(seen ?? error, first, sentinels)
  } finally {
    late.cancel()
    call.signal.removeEventListener('abort', stop)
  }
}

function newClient({ client, url, connection, commandTimeoutMs }: Settings): Redis {
  const given = client?.options ?? connection
  const options = {
    ...connection,
    ...OURS,
    ...sentinelLimits(given, commandTimeoutMs),
    replyMapping: 'legacy' as const,
  }
  if (client) return client.duplicate(options)
  return url === undefined ? new Redis(options) : new Redis(url, options)
}

/** The first sentinels may be on the machine that has just gone: there is time left to ask the others, and the master. */
function sentinelLimits({ sentinels, ...given }: ClientOptions, limitMs: number): ClientOptions {
  if (!sentinels) return {}
  const eachMs = Math.ceil(limitMs / (sentinels.length + 1))
  const least = (ms: number | undefined): number => Math.min(ms ?? eachMs, eachMs)
  return {
    connectTimeout: least(given.connectTimeout),
    sentinelCommandTimeout: least(given.sentinelCommandTimeout),
  }
}

/** The server is there, is old enough, may be written to, and knows our scripts. */
async function prepare(link: Opening, call: Call): Promise<void> {
  const info = String(await link.call(command('INFO', []), call))
  const field = (name: string): string | undefined => new RegExp(`^${name}:([^\r\n]*)`, 'm').exec(info)?.[1]
  const version = field('redis_version') ?? '0.0'
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < 6 || (major === 6 && minor < 2)) throw tooOld(version)
  link.version = [major, minor]
  if (field('cluster_enabled') === '1') throw redisError(new Error('CROSSSLOT'))
  if (field('role') === 'slave') throw redisError(new Error('READONLY'))
  if (field('loading') === '1') throw connectionFailed('the server is loading its data', 'no')
  await loadScripts(link, call)
}

async function loadScripts(link: Link, options: CallOptions): Promise<void> {
  const replies = await link.batch(
    SCRIPT_TEXTS.map((text) => command('SCRIPT', [], 'LOAD', text)),
    options,
  )
  for (const reply of replies) if (!reply.ok) throw reply.error
}

/** A half-open socket would still deliver what lies in its buffer: it is destroyed, not ended. */
function destroy(client: Redis): void {
  client.disconnect()
  ;(client.stream as typeof client.stream | undefined)?.destroy()
}

/** For the answer to a command. */
interface Waiting extends Linked<Waiting> {
  readonly die: (error: PolybusError) => void
}

function createLink(client: Redis, { commandTimeoutMs }: Settings, clock: Clock): Opening {
  let dead: PolybusError | undefined
  let expect: Expect = converting
  const waiting = createChain<Waiting>()
  const watchers = new Set<(error: PolybusError) => void>()
  let cause: unknown

  const end = (error: PolybusError): void => {
    if (dead) return
    dead = error
    destroy(client)
    const unknown = connectionFailed('the connection was cut', 'unknown', error)
    for (let one = shiftChain(waiting); one; one = shiftChain(waiting))
      one.die(error.code === 'CLOSED' ? error : unknown)
    for (const watcher of watchers) watcher(error)
    watchers.clear()
  }
  client.on('error', (error: unknown) => (cause = error))
  client.on('end', () =>
    end(connectionFailed(cause instanceof Error ? cause.message : 'the server ended it', 'no', cause)),
  )

  /** `certain`: this answer says so itself. */
  const failed = (error: unknown, keys: readonly string[]): PolybusError => {
    const ours = redisError(error, keys)
    // After a failover the address may belong to a replica: only a new connection finds the master.
    if (ours.code === 'CONNECTION_FAILED' && ours.sent === 'no') end(ours)
    return ours
  }
  const run = <T>(start: () => Promise<T>, { signal, blockMs = 0 }: CallOptions): Promise<T> => {
    if (dead) return Promise.reject(dead.code === 'CLOSED' ? dead : connectionFailed(dead.message, 'no', dead))
    if (signal?.aborted) return Promise.reject(aborted('no'))
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        timer.cancel()
        leaveChain(waiting, one)
        if (signal) heedNoMore(signal, heeding)
      }
      const die = (error: PolybusError): void => {
        leave()
        reject(error)
      }
      const one: Waiting = { die, before: undefined, after: undefined }
      const heeding: Heeding = { abort: () => die(aborted('unknown')), before: undefined, after: undefined }
      const limit = commandTimeoutMs + blockMs
      const timer = clock.timer(limit, () =>
        end(connectionFailed(`the server has not answered within ${limit} ms`, 'unknown')),
      )
      joinChain(waiting, one)
      if (signal) heedAbort(signal, heeding)
      start().then(
        (value) => {
          leave()
          resolve(value)
        },
        (error: unknown) => {
          leave()
          reject(error instanceof Error ? error : new Error(String(error)))
        },
      )
    })
  }
  const send = async (commands: readonly Command[], atomic: boolean): Promise<readonly Answer[]> => {
    const all = commands.map(({ args }) => args)
    if (!atomic) return exchange(client, all, clock)
    const answers = await exchange(client, [['MULTI'], ...all, ['EXEC']], clock)
    const [error, values] = answers.at(-1) ?? []
    if (error) throw Object.assign(error, { previousErrors: answers.slice(0, -1).flatMap(([one]) => one ?? []) })
    return (values as readonly unknown[]).map((value) => (value instanceof Error ? [value] : [null, value]))
  }
  const batch: Link['batch'] = async (commands, options = {}) => {
    const { atomic = false } = options
    let answers: readonly Answer[]
    try {
      answers = await run(() => send(commands, atomic), options)
    } catch (error) {
      const ours = failed(error, commands[0]?.keys ?? [])
      // A transaction that was refused as a whole: an answer all the same.
      if (ours.code === 'CONNECTION_FAILED' || ours.code === 'ABORTED' || ours.code === 'CLOSED') throw ours
      return commands.map(() => ({ ok: false, error: refusal(error) ?? ours }))
    }
    const replies = commands.map(({ keys }, index): Reply => {
      const [error, value] = answers[index] ?? [new Error('EXECABORT no answer')]
      return error ? { ok: false, error: failed(error, keys) } : { ok: true, value }
    })
    const lost = replies.filter((reply) => !reply.ok && reply.error.code === 'CONNECTION_FAILED')
    const [one] = lost
    if (one && !one.ok && lost.length === replies.length) throw one.error
    return replies
  }

  const link: Opening = {
    client,
    version: [0, 0],
    ready() {
      expect = readReplies(client)
    },
    get dead() {
      return dead
    },
    async call(one, options = {}) {
      const { fieldsAt } = one
      const prepare = fieldsAt === undefined ? undefined : (request: Request): void => expect(request, fieldsAt)
      const ask = async (): Promise<unknown> => {
        const [answer] = await run(() => exchange(client, [one.args], clock, prepare), options)
        if (answer?.[0]) throw answer[0]
        return answer?.[1]
      }
      try {
        return await ask()
      } catch (error) {
        if (!isNoScript(error)) throw failed(error, one.keys)
      }
      try {
        await loadScripts(link, options)
        return await ask()
      } catch (error) {
        throw failed(error, one.keys)
      }
    },
    async batch(commands, options) {
      const replies = await batch(commands, options)
      const again = commands.filter((_, index) => isMissingScript(replies[index]))
      if (again.length === 0) return replies
      // Somebody flushed the scripts: what was refused for it did nothing.
      await loadScripts({ ...link, batch }, {})
      const more = [...(await batch(again, options))]
      return replies.map((reply) => (isMissingScript(reply) ? (more.shift() ?? reply) : reply))
    },
    onDead(watcher) {
      if (dead) watcher(dead)
      else watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    end,
  }
  return link
}

const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith('NOSCRIPT')
const isMissingScript = (reply: Reply | undefined): boolean =>
  reply !== undefined && !reply.ok && isNoScript(reply.error.cause)

/** Why a transaction was refused: the first command that was. */
function refusal(error: unknown): PolybusError | undefined {
  const previous = (error as { previousErrors?: unknown } | null)?.previousErrors
  return Array.isArray(previous) && previous.length > 0 ? redisError(previous[0]) : undefined
}
