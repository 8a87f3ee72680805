import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
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
import { command, type Link, openLink } from './connection.ts'
import { aborted, closed, connectionFailed, missing } from './errors.ts'
import { createFeed } from './feed.ts'
import { readHazards } from './hazards.ts'
import { asRecorded, createLayouts, declare, type Layout, type Layouts, readRecord, recordOf } from './layout.ts'
import { size } from './mapping.ts'
import { checkOptions, type RedisOptions } from './options.ts'
import { groupsOf, rewind } from './rewind.ts'
import { sendAll } from './send.ts'
import { readStats } from './stats.ts'
import { apply, groupNames, plan } from './topology.ts'
import { createWaker, type Waker } from './waker.ts'

export interface RedisAdapter extends Adapter {
  /** ioredis, as it is connected now: for what Polybus does not do. It is another one after each reconnect. */
  readonly client: Redis | undefined
}

/**
 * Channels on Redis Streams. Needs Redis 6.2 or newer; no cluster.
 *
 * @param options See {@link RedisOptions}; a text is its `url`.
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const bus = await connect({ broker: redis({ url: 'redis://localhost:6379' }) })
 */
export function redis(options: string | RedisOptions): RedisAdapter {
  const settings = checkOptions(options)
  const given = typeof options === 'string' ? undefined : options.clock
  const clock: Clock = given ?? systemClock()
  const instance = randomUUID().slice(0, 13)
  /** By channel and group: names of feeds whose connection was lost. */
  const orphans = new Map<string, string[]>()
  /** Groups that were here: one that is gone is made again from the beginning. */
  const seen = new Set<string>()
  let service = 'polybus'
  let namespace: string | undefined
  let layouts: Layouts = createLayouts(settings, undefined, true)
  let link: Link | undefined
  let waker: Waker | undefined
  let everConnected = false
  let feeds = 0
  let over = false
  let unwatch: () => void = () => {}

  const connected = (): Link => {
    if (over) throw closed()
    if (!link || link.dead) throw connectionFailed(link?.dead?.message ?? 'it is not connected', 'no')
    return link
  }
  const open = async (call: Call): Promise<Link> => {
    const made = await openLink(settings, clock, call, !everConnected)
    if (over) {
      made.end(closed())
      throw closed()
    }
    everConnected = true
    waker?.close()
    link = made
    waker = createWaker(clock, made, (by) => openLink(settings, clock, by, false))
    return made
  }
  const watch = (made: Link, { onLost }: ConnectCall): void => {
    unwatch = made.onDead((error) => {
      if (!over) onLost?.(error)
    })
  }
  const layoutOf = async (spec: ChannelSpec, call: Call): Promise<Layout> => {
    const layout = await layouts.find(connected(), spec.name, call.signal)
    if (layout.keyed !== spec.keyed)
      throw new PolybusError(
        'TOPOLOGY_CONFLICT',
        `The channel '${spec.name}' was created ${layout.keyed ? 'with' : 'without'} keys; that is recorded in '${layout.keys.meta}'.`,
      )
    return layout
  }
  const layoutWith = async (spec: ChannelSpec, group: string, call: Call): Promise<Layout> => {
    const layout = await layoutOf(spec, call)
    const fields = (await connected().call(groupsOf(layout), call)) as readonly Buffer[]
    if (fields.some((field) => String(field) === `group:${group}`)) return layout
    throw new PolybusError('UNKNOWN_GROUP', `The channel '${spec.name}' has no group '${group}' on Redis.`, {
      sent: 'no',
    })
  }
  const subscribe = async (source: Source, call: Call): Promise<Feed> => {
    const to = connected()
    const { channel: spec, group, from } = source
    const wanted = layouts.wanted(spec)
    const recorded = readRecord(await to.call(recordOf(wanted), call), wanted.keys.meta)
    if (!recorded && !layouts.mayCreate) throw missing(`channel '${spec.name}'`, false)
    const layout = asRecorded(wanted, recorded)
    const place = `${spec.name}/${group}`
    if (layouts.mayCreate) {
      const known = spec.groups.includes(group) || seen.has(place)
      await declare(to, layout, group, from === 'end' && !known ? '$' : '0', call.signal)
    } else await verify(to, layout, group, call)
    layouts.learn(layout)
    seen.add(place)
    let names = orphans.get(place)
    if (!names) orphans.set(place, (names = []))
    if (!waker) throw connectionFailed('it is not connected', 'no')
    const name = `${service}-${instance}-${++feeds}`
    return createFeed({ link: to, clock, settings, layouts, layout, source, waker, name, orphans: names }, call)
  }
  const verify = async (to: Link, layout: Layout, group: string, call: Call): Promise<void> => {
    for (let partition = 0; partition < layout.partitions; partition++)
      for (const key of [layout.keys.stream(partition), layout.keys.retry(group, partition)]) {
        const reply = await to.call({ args: ['XINFO', 'GROUPS', key], keys: [key] }, call)
        if (!groupNames(reply).has(group)) throw missing(`group '${group}' on '${key}'`, false)
      }
  }

  return {
    name: 'redis',
    seam: 1,
    ...(given && { clock: given }),
    limits: { messages: 128, bytes: 8 * 2 ** 20, concurrency: 8 },
    capabilities: (spec) => capabilitiesOf(spec, settings, link?.version),
    size,
    get client() {
      return link?.client
    },

    async connect(call: ConnectCall) {
      if (over) throw closed()
      if (call.signal.aborted) throw aborted('no')
      unwatch()
      service = call.service
      if (namespace !== call.namespace || layouts.mayCreate !== (call.topology === 'create')) {
        namespace = call.namespace
        layouts = createLayouts(settings, namespace, call.topology === 'create')
      }
      if (link && !link.dead) {
        try {
          // A socket that is only half open looks ready.
          await link.call(command('PING', []), call)
          return watch(link, call)
        } catch (error) {
          link.end(connectionFailed('it does not answer', 'unknown', error))
          if (call.signal.aborted) throw aborted('no')
        }
      }
      watch(await open(call), call)
    },

    send: (batch, call) => {
      try {
        return sendAll(connected(), layouts, batch, call)
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new Error(String(error)))
      }
    },
    subscribe,

    close() {
      over = true
      waker?.close()
      link?.end(closed())
      return Promise.resolve()
    },

    hazards: async (_, call) => readHazards(connected(), settings, call),
    topology: {
      plan: async (specs, call) => plan(connected(), layouts, specs, call),
      apply: async (changes, call) => apply(connected(), layouts, changes, call),
    },
    stats: {
      read: async (spec, group, call) => {
        const layout = await layoutWith(spec, group, call)
        return readStats(connected(), layout, group, call)
      },
    },
    browse: {
      open: async (spec, group, call) => {
        const layout = await layoutWith(spec, group, call)
        return openSession(connected, layout, group, settings.channels.get(spec.name))
      },
    },
    rewind: {
      rewind: async (spec, group, to, call) => {
        const layout = await layoutWith(spec, group, call)
        return rewind(connected(), layout, group, to, call)
      },
    },
  }
}
