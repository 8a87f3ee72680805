// Two connections: RabbitMQ stops reading from a connection that publishes during an alarm, acks included.
import type { Duplex } from 'node:stream'
import { type Channel, type ChannelModel, connect as open, type ConfirmChannel } from 'amqplib'
import type { Call, Clock, PolybusError } from '@polybus/core'
import type { Version } from './capabilities.ts'
import { connectError, connectionFailed, rabbitError, tooOld } from './errors.ts'
import { readDeliveries } from './frames.ts'
import { gatherWrites } from './gather.ts'
import type { Settings } from './options.ts'

export interface Link {
  readonly client: ChannelModel
  readonly version: Version
  /** Set when it is over: why. */
  readonly dead: PolybusError | undefined
  /** Set while RabbitMQ takes no messages: why. */
  readonly blocked: string | undefined
  onDead(run: (error: PolybusError) => void): () => void
  /** For consuming and asking. */
  channel(): Promise<Channel>
  /** For publishing. */
  confirmChannel(): Promise<ConfirmChannel>
  /** On the connection that publishes, without confirms. */
  plainChannel(): Promise<Channel>
  /** An answer within the time allowed, or the link is given up. */
  ask<T>(work: () => Promise<T>, call?: Call): Promise<T>
  /** On a channel of its own: a refusal closes only that. */
  aside<T>(run: (channel: Channel) => Promise<T>, call?: Call): Promise<T>
  /** A round trip on both connections (publishing may be blocked: then on one). */
  ping(call?: Call): Promise<void>
  end(error: PolybusError): void
  /** Ends it as AMQP wants it, within a second. */
  close(error: PolybusError): Promise<void>
}

const ignore = (): void => {}

export async function openLink(
  settings: Settings,
  clock: Clock,
  call: Call,
  first: boolean,
  name: string,
): Promise<Link> {
  const models: ChannelModel[] = []
  const one = async (role: string): Promise<ChannelModel> => {
    const model = await connectOnce(settings, clock, call, `${name} (${role})`)
    models.push(model)
    // Every loss is told by 'close' too; without a listener an 'error' would end the process.
    model.on('error', ignore)
    return model
  }
  const results = await Promise.allSettled([one('consume'), one('publish')])
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) {
    for (const model of models) destroy(model)
    throw connectError(failed.reason, first)
  }
  const [consume, publish] = results.map((result) => (result as PromiseFulfilledResult<ChannelModel>).value)
  const { product, version: text } = consume?.connection.serverProperties ?? {}
  const version = product === 'RabbitMQ' && typeof text === 'string' ? versionOf(text) : UNKNOWN
  if (version !== UNKNOWN && isTooOld(version)) {
    for (const model of models) destroy(model)
    throw tooOld(String(text))
  }
  return createLink(settings, clock, version, consume as ChannelModel, publish as ChannelModel)
}

const UNKNOWN: Version = [0, 0]
function versionOf(text: string): Version {
  const [major = 0, minor = 0] = text.split('.').map(Number)
  return [major, minor]
}
/** Dead-lettering that loses nothing came with 3.10. */
const isTooOld = ([major, minor]: Version): boolean => major < 3 || (major === 3 && minor < 10)

function createLink(
  settings: Settings,
  clock: Clock,
  version: Version,
  consume: ChannelModel,
  publish: ChannelModel,
): Link {
  const watchers = new Set<(error: PolybusError) => void>()
  let dead: PolybusError | undefined
  let blocked: string | undefined
  let leaving = false
  let probes: Promise<readonly [Channel, Channel]> | undefined

  const end = (error: PolybusError): void => {
    if (dead) return
    dead = error
    for (const model of [consume, publish]) destroy(model)
    for (const run of watchers) run(error)
    watchers.clear()
  }
  for (const model of [consume, publish]) gatherWrites(socketOf(model))
  readDeliveries(consume)
  for (const model of [consume, publish])
    model.on('close', (error?: Error) => {
      if (!leaving) end(connectionFailed(error?.message ?? 'it was closed', 'unknown', error))
    })
  publish.on('blocked', (reason: string) => (blocked = reason || 'an alarm'))
  publish.on('unblocked', () => (blocked = undefined))

  const ask: Link['ask'] = (work, call) =>
    new Promise((resolve, reject) => {
      if (dead) return reject(dead)
      let over = false
      const finish = (run: () => void): void => {
        if (over) return
        over = true
        timer.cancel()
        call?.signal.removeEventListener('abort', onAbort)
        run()
      }
      const onAbort = (): void => finish(() => reject(connectionFailed('the wait was ended', 'unknown')))
      const timer = clock.timer(settings.commandTimeoutMs, () => {
        if (over) return
        const error = connectionFailed(`no answer within ${settings.commandTimeoutMs} ms`, 'unknown')
        finish(() => reject(error))
        end(error)
      })
      call?.signal.addEventListener('abort', onAbort)
      let asked: ReturnType<typeof work>
      try {
        asked = work()
      } catch (error) {
        return finish(() => reject(dead ?? rabbitError(error)))
      }
      asked.then(
        (value) => finish(() => resolve(value)),
        (error: unknown) => finish(() => reject(dead ?? rabbitError(error))),
      )
    })
  const quiet = <C extends Channel>(channel: C): C => {
    // What a channel dies of is told to whoever asked, or by 'close'.
    channel.on('error', ignore)
    return channel
  }
  const link: Link = {
    client: consume,
    version,
    get dead() {
      return dead
    },
    get blocked() {
      return blocked
    },
    onDead(run) {
      watchers.add(run)
      return () => watchers.delete(run)
    },
    channel: () => ask(async () => quiet(await consume.createChannel())),
    confirmChannel: () => ask(async () => quiet(await publish.createConfirmChannel())),
    plainChannel: () => ask(async () => quiet(await publish.createChannel())),
    ask,
    async aside(run, call) {
      const channel = await link.channel()
      try {
        return await ask(() => run(channel), call)
      } finally {
        closeChannel(channel)
      }
    },
    async ping(call) {
      // prefetch is the cheapest question there is, and needs no permission.
      probes ??= Promise.all([link.channel(), blocked === undefined ? link.plainChannel() : link.channel()])
      try {
        const [one, other] = await probes
        await ask(() => one.prefetch(1), call)
        if (blocked === undefined) await ask(() => other.prefetch(1), call)
      } catch (error) {
        probes = undefined
        throw error
      }
    },
    end,
    async close(error) {
      if (dead) return
      leaving = true
      await new Promise<void>((resolve) => {
        const timer = clock.timer(1000, resolve)
        Promise.all([consume.close(), publish.close()])
          .catch(ignore)
          .finally(() => {
            timer.cancel()
            resolve()
          })
      })
      end(error)
    },
  }
  return link
}

async function dial(
  { url, heartbeatMs, socket, client }: Settings,
  name: string,
  signal: AbortSignal,
): Promise<ChannelModel> {
  if (client) return client(name)
  // Node's sockets take it; amqplib's types do not know.
  const ending: object = { signal }
  const tls = url.protocol === 'amqps:'
  const port = url.port === '' ? (tls ? 5671 : 5672) : Number(url.port)
  return open(
    {
      protocol: tls ? 'amqps' : 'amqp',
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port,
      ...(url.username !== '' && {
        username: decodeURIComponent(url.username),
        password: decodeURIComponent(url.password),
      }),
      vhost: url.pathname.length > 1 ? url.pathname.slice(1) : '/',
      heartbeat: heartbeatMs / 1000,
    },
    { noDelay: true, ...socket, ...ending, clientProperties: { connection_name: name, ...socket.clientProperties } },
  )
}

function connectOnce(settings: Settings, clock: Clock, { signal }: Call, name: string): Promise<ChannelModel> {
  // A server that takes connections and says nothing: amqplib waits for it for ever, and its socket keeps the process alive.
  const unwanted = new AbortController()
  const opening = dial(settings, name, unwanted.signal)
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      unwanted.abort()
      timer.cancel()
      reject(connectionFailed('the wait was ended', 'no'))
    }
    const timer = clock.timer(settings.commandTimeoutMs * 2, () => {
      unwanted.abort()
      signal.removeEventListener('abort', onAbort)
      reject(connectionFailed(`no connection within ${settings.commandTimeoutMs * 2} ms`, 'no'))
    })
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort)
    opening.then(
      (model) => {
        // It may come when nobody waits for it any more.
        if (unwanted.signal.aborted) return destroy(model)
        timer.cancel()
        signal.removeEventListener('abort', onAbort)
        resolve(model)
      },
      (error: unknown) => {
        timer.cancel()
        signal.removeEventListener('abort', onAbort)
        reject(error instanceof Error ? error : new Error(String(error)))
      },
    )
  })
}

/** amqplib's close waits for an answer, and only an error on its socket makes it notice that it is gone. */
function destroy(model: ChannelModel): void {
  model.on('error', ignore)
  socketOf(model)?.destroy(new Error('given up'))
}

/** amqplib's types do not show it. */
const socketOf = (model: ChannelModel): Duplex | undefined =>
  (model.connection as unknown as { readonly stream?: Duplex }).stream

export function closeChannel(channel: Channel): void {
  try {
    channel.close().catch(ignore)
  } catch {
    // It is closed already.
  }
}
