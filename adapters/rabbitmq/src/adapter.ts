import { randomUUID } from 'node:crypto'
import type { ChannelModel } from 'amqplib'
import {
  type Adapter,
  type Call,
  type ChannelSpec,
  type Clock,
  type ConnectCall,
  type Feed,
  PolybusError,
  type Source,
  systemClock,
} from '@polybus/core'
import { openSession } from './browse.ts'
import { capabilitiesOf } from './capabilities.ts'
import { openLink } from './connection.ts'
import { aborted, closed, conflict, connectionFailed } from './errors.ts'
import { createFeed } from './feed.ts'
import { readHazards } from './hazards.ts'
import type { Layout } from './layout.ts'
import { size } from './mapping.ts'
import { checkOptions, type RabbitmqOptions } from './options.ts'
import { sendAll } from './send.ts'
import { createSession, type Session } from './session.ts'
import { readStats } from './stats.ts'
import { apply, declareChannel, declareGroup, plan } from './topology.ts'

export interface RabbitmqAdapter extends Adapter {
  /** amqplib's connection for consuming, as it is now: for what Polybus does not do. It is another one after each reconnect. */
  readonly client: ChannelModel | undefined
}

/**
 * Channels on RabbitMQ: a topic exchange each, and a durable quorum queue a group. Needs RabbitMQ 3.10 or newer.
 *
 * @param options See {@link RabbitmqOptions}; a text is its `url`.
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const bus = await connect({ broker: rabbitmq({ url: 'amqp://guest:guest@localhost:5672' }) })
 */
export function rabbitmq(options: string | RabbitmqOptions): RabbitmqAdapter {
  const settings = checkOptions(options)
  const given = typeof options === 'string' ? undefined : options.clock
  const clock: Clock = given ?? systemClock()
  const instance = randomUUID().slice(0, 8)
  const specs = new Map<string, ChannelSpec>()
  const feeds = new Set<{ readonly place: string; readonly feed: Feed }>()
  let session: Session | undefined
  let namespace: string | undefined
  let mayCreate = true
  let everConnected = false
  let tell: ((error: PolybusError) => void) | undefined
  let over = false

  const connected = (): Session => {
    if (over) throw closed()
    const dead = session?.link.dead
    if (!session || dead) throw connectionFailed(dead?.message ?? 'it is not connected', 'no')
    return session
  }
  const learn = (spec: ChannelSpec): void => {
    const before = specs.get(spec.name)
    if (before === spec) return
    specs.set(spec.name, spec)
    session?.forget(spec.name)
  }
  const layoutWith = async (spec: ChannelSpec, call: Call): Promise<Layout> => {
    if (!specs.has(spec.name)) learn(spec)
    return connected().layout(spec.name, call)
  }
  const subscribe = async (source: Source, call: Call): Promise<Feed> => {
    const to = connected()
    const { channel: spec, group } = source
    if (!specs.has(spec.name)) learn(spec)
    let layout = to.layoutFor(spec)
    // Declared groups were set up with their channel.
    if (mayCreate && !spec.groups.includes(group)) {
      const { conflicts } = await plan(to.link, to.layoutFor, [{ ...spec, groups: [] }], call)
      if (conflicts[0]) throw conflict(conflicts.map(({ text }) => text).join('; '))
      if (layout.laned) layout = await recorded(to, spec, call)
      else await declareChannel(to.link, layout, call)
      await declareGroup(to.link, layout, group, call)
      to.forget(spec.name)
    }
    layout = await to.layout(spec.name, call)
    let feed: Awaited<ReturnType<typeof createFeed>>
    try {
      feed = await createFeed(to, layout, source)
    } catch (error) {
      throw PolybusError.is(error, 'TOPOLOGY_MISSING') && !mayCreate
        ? new PolybusError('TOPOLOGY_MISSING', error.message, { cause: error, retryable: false, sent: 'no' })
        : error
    }
    const entry = { place: `${spec.name}/${group}`, feed }
    feeds.add(entry)
    const close = (): Promise<void> => {
      feeds.delete(entry)
      return feed.close()
    }
    return {
      ...feed,
      // It changes.
      get most() {
        return feed.most
      },
      close,
    }
  }
  const recorded = async (to: Session, spec: ChannelSpec, call: Call): Promise<Layout> => {
    to.forget(spec.name)
    try {
      return await to.layout(spec.name, call)
    } catch (error) {
      if (!PolybusError.is(error, 'TOPOLOGY_MISSING')) throw error
      await declareChannel(to.link, to.layoutFor(spec), call)
      return to.layoutFor(spec, spec.partitions ?? settings.partitions)
    }
  }

  return {
    name: 'rabbitmq',
    seam: 1,
    ...(given && { clock: given }),
    limits: { messages: 250, bytes: 8 * 2 ** 20, concurrency: 4 },
    capabilities(spec) {
      learn(spec)
      return capabilitiesOf(settings, spec, session?.link.version ?? [0, 0])
    },
    size,
    get client() {
      return session?.link.client
    },

    async connect(call: ConnectCall) {
      if (over) throw closed()
      if (call.signal.aborted) throw aborted('no')
      const changed = namespace !== call.namespace || mayCreate !== (call.topology === 'create')
      tell = call.onLost
      namespace = call.namespace
      mayCreate = call.topology === 'create'
      let link = session?.link
      if (link && !link.dead) {
        try {
          // A socket that is only half open looks ready.
          await link.ping(call)
        } catch (error) {
          link.end(connectionFailed('it does not answer', 'unknown', error))
          if (call.signal.aborted) throw aborted('no')
        }
      }
      if (link && !link.dead && !changed) return
      if (!link || link.dead)
        link = await openLink(settings, clock, call, !everConnected, `${call.service} ${instance}`)
      if (over) {
        link.end(closed())
        throw closed()
      }
      everConnected = true
      if (link !== session?.link) link.onDead((error) => tell?.(error))
      session = createSession({ link, clock, settings, namespace, mayCreate, specs })
    },

    async send(batch, call) {
      return sendAll(connected(), batch, call)
    },
    subscribe,

    async close() {
      over = true
      tell = undefined
      await session?.link.close(closed())
    },

    hazards: async (spec) => readHazards(settings, spec, mayCreate),
    topology: {
      async plan(list, call) {
        for (const spec of list) if (!specs.has(spec.name)) learn(spec)
        const to = connected()
        return plan(to.link, to.layoutFor, list, call)
      },
      async apply(changes, call) {
        const to = connected()
        await apply(to.link, to.layoutFor, changes, call)
        for (const { name } of changes) to.forget(name.split('/')[0] ?? '')
      },
    },
    stats: {
      read: async (spec, group, call) => {
        const layout = await layoutWith(spec, call)
        const buffered = (): number =>
          [...feeds].reduce(
            (sum, { place, feed }) => sum + (place === `${spec.name}/${group}` ? feed.state().buffered : 0),
            0,
          )
        return readStats(connected().link, layout, group, buffered, call)
      },
    },
    browse: {
      open: async (spec, group, call) => {
        const layout = await layoutWith(spec, call)
        return openSession(connected().link, layout, group, call)
      },
    },
  }
}
