// The conformance suite's way to a real RabbitMQ: a server of its own, and a fault proxy for each namespace.
import { type RunningBroker, startBroker } from '@polybus/brokers'
import type { Adapter, ChannelSpec, Outgoing, PolybusError, WireMessage } from '@polybus/core'
import { type Faults, type Foreign, type Harness, namespaceProxies, type Timing } from '@polybus/testkit'
import { type Channel, type ChannelModel, connect, type GetMessage } from 'amqplib'
import { rabbitmq } from '../src/index.ts'
import { entitiesOf, type Entity, exchangeOf, type Layout, layoutOf } from '../src/layout.ts'
import { fromNative, partitionOf } from '../src/mapping.ts'
import { namesOf } from '../src/names.ts'
import { checkOptions } from '../src/options.ts'
import { control } from './control.ts'

const broker = (): Promise<RunningBroker> => startBroker('rabbitmq', { instance: 'conformance' })
/** basic.publish. */
const PUBLISH = Buffer.of(0, 60, 0, 40)
const proxies = namespaceProxies(broker, { isSend: (bytes) => bytes.includes(PUBLISH) })

export const name = 'rabbitmq'
export const parallel = 4
/**
 * The server writes down a new quorum queue when nobody has looked at the table of them for half a second. Killed before that it
 * starts the queue anew, empty. Where we cannot tell it to write, cases wait.
 */
export const timing: Partial<Timing> & { ageMs: number } = { ageMs: 10_000 }
const WRITE_DOWN = 'mnesia:sync_log(), [dets:sync(T) || T <- dets:all()].'
let address = '127.0.0.1:5672'

export async function prepare(namespace: string): Promise<void> {
  await proxies.prepare(namespace)
  const running = await broker()
  address = `${running.host}:${running.port}`
  if (control(running)) timing.ageMs = 0
}

/** Channels that were used: their parts are deleted at the end. */
const known = new Map<string, Map<string, ChannelSpec>>()
const settings = checkOptions('amqp://localhost')
const layout = (namespace: string, channel: string): Layout | undefined => {
  const spec = known.get(namespace)?.get(channel)
  return spec && layoutOf(settings, namespace, spec, undefined)
}
function watched<A extends Adapter>(namespace: string, adapter: A): A {
  const specs = known.get(namespace) ?? new Map<string, ChannelSpec>()
  known.set(namespace, specs)
  const learn = (spec: ChannelSpec, group?: string): void => {
    const groups = new Set([...(specs.get(spec.name)?.groups ?? []), ...spec.groups, ...(group ? [group] : [])])
    specs.set(spec.name, { ...(specs.get(spec.name) ?? spec), groups: [...groups] })
  }
  const { subscribe, topology } = adapter
  return Object.assign(adapter, {
    subscribe: (...[source, call]: Parameters<Adapter['subscribe']>) => {
      learn(source.channel, source.group)
      return subscribe(source, call)
    },
    topology: topology && {
      ...topology,
      plan: (...[channels, call]: Parameters<typeof topology.plan>) => {
        for (const spec of channels) learn(spec)
        return topology.plan(channels, call)
      },
    },
  })
}

const at = (host: string, user = 'guest:guest', vhost = ''): Adapter =>
  rabbitmq({
    url: `amqp://${user}@${host}${vhost}`,
    heartbeatMs: 2000,
    commandTimeoutMs: 2000,
    memberBeatMs: 500,
  })
export const open = (namespace: string): Adapter =>
  proxies.open(namespace, ({ host, port }) => refusable(namespace, watched(namespace, at(`${host}:${port}`))))

type When = Parameters<NonNullable<Faults['refuse']>>[0]
const refusals = new Map<string, Set<When>>()
/** A group of no channel, whose dead letters are full from the start. */
const FULL = 'full'
const full = new Map<string, Promise<string>>()
const fullQueue = (queue: string): Promise<string> => {
  let made = full.get(queue)
  if (!made) {
    const table = { 'x-max-length': 0, 'x-overflow': 'reject-publish' }
    made = aside(async (client) => (await client.assertQueue(queue, { arguments: table })).queue)
    full.set(queue, made)
  }
  return made
}
/**
 * RabbitMQ refuses a queue's messages, and none by what it is: a picked one goes to a queue that is full, where the server
 * refuses it for now, or with a header that AMQP has no room for.
 */
function refusable(namespace: string, adapter: Adapter): Adapter {
  const { send } = adapter
  const instead = async (one: Outgoing, error: PolybusError | undefined): Promise<Outgoing> => {
    if (!error) return one
    const { to, message } = one
    if (error.code !== 'BROKER_BUSY')
      return { ...one, message: { ...message, headers: [['big', 'x'.repeat(200_000)]] } }
    await fullQueue(namesOf(namespace, to.channel).dead(FULL))
    return { ...one, to: { kind: 'dead-letter', channel: to.channel, group: FULL } }
  }
  return Object.assign(adapter, {
    async send(...[batch, call]: Parameters<Adapter['send']>) {
      const when = [...(refusals.get(namespace) ?? [])]
      if (when.length === 0) return send(batch, call)
      const errors = batch.map((one) => when.map((each) => each(one)).find((error) => error))
      const results = await send(await Promise.all(batch.map((one, index) => instead(one, errors[index]))), call)
      return results.map((result, index) => {
        const error = errors[index]
        return error && !result.ok && result.error.code === error.code ? { ok: false as const, error } : result
      })
    },
  })
}

/** Past the proxy, as another program would be connected. */
async function aside<T>(use: (channel: Channel, connection: ChannelModel) => Promise<T>): Promise<T> {
  const connection = await connect((await broker()).url)
  connection.on('error', () => {})
  try {
    return await use(await connection.createConfirmChannel(), connection)
  } finally {
    await connection.close().catch(() => {})
  }
}
const put = (channel: Channel, { kind, ...entity }: Entity): Promise<unknown> =>
  kind === 'queue'
    ? channel.assertQueue(entity.name, { arguments: { ...entity.arguments } })
    : channel.assertExchange(entity.name, (entity as { type: string }).type, { arguments: { ...entity.arguments } })

async function remove(namespace: string, channel: string, only?: string): Promise<void> {
  const found = layout(namespace, channel)
  if (!found) return
  await aside(async (client) => {
    const list: Entity[] = found.groups
      .filter((group) => only === undefined || group === only)
      .flatMap((group) => entitiesOf(found, group))
    for (const { kind, name: native } of list)
      await (kind === 'queue' ? client.deleteQueue(native) : client.deleteExchange(native))
    if (only !== undefined) return
    await client.deleteExchange(exchangeOf(found).name)
    await client.deleteQueue(found.names.layout)
  })
}

export const faults = (namespace: string): Faults => ({
  ...proxies.faults(namespace),
  async kill() {
    const running = await broker()
    await control(running)?.(['eval', WRITE_DOWN])
    await running.kill()
  },
  restart: async () => (await broker()).start(),
  refuse(when) {
    const all = refusals.get(namespace) ?? new Set()
    refusals.set(namespace, all.add(when))
    return () => void all.delete(when)
  },
  // A delivery is its channel's, and the channel its connection's.
  async loseLease() {
    await proxies.faults(namespace).cut?.()
    return 1
  },
  async wipe() {
    for (const [each, specs] of known) for (const channel of specs.keys()) await remove(each, channel)
  },
  blockWrites: ({ kind, channel, group }) =>
    aside(async (client) => {
      const found = layout(namespace, channel)
      if (!found) throw new Error(`nothing is known of '${channel}'`)
      // In their place stand queues that are full from the start.
      const blocked = entitiesOf(found, group).filter((entity) =>
        kind === 'dead-letter'
          ? entity.name === found.names.dead(group)
          : entity.name.startsWith(`${found.names.queue(group)}:retry-`),
      )
      for (const entity of blocked) {
        await client.deleteQueue(entity.name)
        await client.assertQueue(entity.name, { arguments: { 'x-max-length': 0, 'x-overflow': 'reject-publish' } })
      }
      return () =>
        aside(async (again) => {
          for (const entity of blocked) {
            await again.deleteQueue(entity.name)
            await put(again, entity)
          }
        })
    }),
  deleteGroup: (channel, group) => remove(namespace, channel, group),
  deleteChannel: (channel) => remove(namespace, channel),
})

export const foreign = (namespace: string): Foreign => ({
  send: (channel, { body, headers = [], key, contentType }) =>
    aside(async (client) => {
      const found = layout(namespace, channel)
      const table: Record<string, unknown> = {}
      if (key !== undefined) table['ce_partitionkey'] = key
      // AMQP has no null body: this is how one is marked.
      if (body === null) table['polybus-null-body'] = '1'
      for (const [header, value] of headers) table[header] = typeof value === 'string' ? value : Buffer.from(value)
      const lane = found?.keyed ? partitionOf(key, found.partitions) : 0
      client.publish(found?.exchange ?? `${namespace}.${channel}`, String(lane), Buffer.from(body ?? ''), {
        persistent: true,
        headers: table,
        ...(contentType !== undefined && { contentType }),
      })
      await (client as unknown as { waitForConfirms(): Promise<void> }).waitForConfirms()
    }),
  deadLetters: (channel, group) =>
    aside(async (client): Promise<readonly WireMessage[]> => {
      const queue = layout(namespace, channel)?.names.dead(group) ?? ''
      const letters: GetMessage[] = []
      for (let letter = await client.get(queue); letter; letter = await client.get(queue)) letters.push(letter)
      return letters.map((letter) => fromNative(letter))
    }),
  consumers: (channel, group) =>
    aside(async (client) => {
      const [queue = ''] = layout(namespace, channel)?.queues(group) ?? []
      return (await client.checkQueue(queue)).consumerCount
    }),
})

export const refusing = (): ReturnType<NonNullable<Harness['refusing']>> => {
  const secret = 'wrong-s3cret'
  return {
    'a wrong password': { open: () => at(address, `guest:${secret}`), secret },
    'an unknown user': { open: () => at(address, `nobody:${secret}`), secret },
    'an unknown vhost': { open: () => at(address, 'guest:guest', '/no-such'), secret },
    'an unknown host': { open: () => at('rabbitmq.invalid:5672', `guest:${secret}`), secret },
  }
}

export const about = (): Promise<Record<string, string>> =>
  aside(async (_, connection) => {
    const { version } = connection.connection.serverProperties as { version?: unknown }
    return { rabbitmq: String(version) }
  })

export async function cleanup(namespace: string): Promise<void> {
  await proxies.close(namespace)
  for (const channel of known.get(namespace)?.keys() ?? []) await remove(namespace, channel)
  known.delete(namespace)
  refusals.delete(namespace)
  const queues = [...full.keys()].filter((queue) => queue.startsWith(`${namespace}.`))
  for (const queue of queues) full.delete(queue)
  if (queues.length > 0) await aside((client) => Promise.all(queues.map((queue) => client.deleteQueue(queue))))
}
