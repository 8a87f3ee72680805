// The conformance suite's way to a real RabbitMQ: a server of its own, and a fault proxy for each namespace.
import { type RunningBroker, startBroker } from '@polybus/brokers'
import { type Adapter, type ChannelSpec, sleep, systemClock, type WireMessage } from '@polybus/core'
import { type Faults, type Foreign, type Harness, namespaceProxies, type Timing } from '@polybus/testkit'
import { type Channel, type ChannelModel, connect, type GetMessage } from 'amqplib'
import { rabbitmq } from '../src/index.ts'
import { GONE_MS } from '../src/lane.ts'
import { entitiesOf, type Entity, exchangeOf, type Layout, layoutOf } from '../src/layout.ts'
import { fromNative, partitionOf } from '../src/mapping.ts'
import { checkOptions } from '../src/options.ts'

const broker = (): Promise<RunningBroker> => startBroker('rabbitmq', { instance: 'conformance' })
/** basic.publish. */
const PUBLISH = Buffer.of(0, 60, 0, 40)
const proxies = namespaceProxies(broker, { isSend: (bytes) => bytes.includes(PUBLISH) })

export const name = 'rabbitmq'
export const parallel = 4
/** Quorum queues that are a second old may not be on disk yet when the server is killed. */
export const timing: Partial<Timing> = { ageMs: 10_000 }
let address = '127.0.0.1:5672'
const clock = systemClock()

export async function prepare(namespace: string): Promise<void> {
  await proxies.prepare(namespace)
  const { host, port } = await broker()
  address = `${host}:${port}`
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
    // Some cases ask for a thousand attempts, which half an hour would not hold; none takes so long.
    consumerTimeoutMs: 24 * 3_600_000,
  })
export const open = (namespace: string): Adapter =>
  proxies.open(namespace, ({ host, port }) => watched(namespace, at(`${host}:${port}`)))

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
/** What is made in its place too soon may be swept away with it. */
async function deleted(channel: Channel, queue: string): Promise<void> {
  await channel.deleteQueue(queue)
  await sleep(clock, GONE_MS)
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
  kill: async () => (await broker()).kill(),
  restart: async () => (await broker()).start(),
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
        await deleted(client, entity.name)
        await client.assertQueue(entity.name, { arguments: { 'x-max-length': 0, 'x-overflow': 'reject-publish' } })
      }
      return () =>
        aside(async (again) => {
          for (const entity of blocked) {
            await deleted(again, entity.name)
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
}
