import type { Adapter, Call, ChannelSpec, Clock, ConnectCall, Feed, PolybusError, Source } from '@polybus/core'
import { PolybusError as BusError } from '@polybus/core'
import type { Channel, Connection, Group } from './state.ts'
import { openBroker } from './broker.ts'
import { openSession } from './browse.ts'
import { calm, connect, cut, end, through } from './connection.ts'
import { channelMissing, closed, connectionFailed, groupMissing } from './errors.ts'
import { createFaults, type MemoryFaults, refusesConnection } from './faults.ts'
import { createFeed } from './feed.ts'
import { createGroup } from './groups.ts'
import { createChannel } from './log.ts'
import { size } from './mapping.ts'
import { checkOptions, type MemoryOptions } from './options.ts'
import { rewind } from './rewind.ts'
import { readStats } from './stats.ts'
import { apply, conflictsOf, type Names, plan } from './topology.ts'
import { writeAll, type Writer } from './write.ts'

/** The broker in this process, with failures on demand. */
export interface MemoryAdapter extends Adapter {
  readonly clock: Clock
  readonly faults: MemoryFaults
}

/**
 * The embedded broker: the reference for all adapters, for tests, development and single processes. Messages live in
 * this process's memory, and are gone with it.
 *
 * @param options See {@link MemoryOptions}; a text is a name or a URL: `'shop'`, `'memory:shop?leaseMs=5000'`, `'memory:'`.
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong, or is not what the named broker runs with.
 * @example
 * const bus = await connect({ broker: memory() })
 */
export function memory(options?: string | MemoryOptions): MemoryAdapter {
  const broker = openBroker(checkOptions(options))
  let namespace: string | undefined
  let mayCreate = true
  let connection: Connection | undefined
  let over: PolybusError | undefined
  let lastName: string | undefined
  let lastChannel: Channel | undefined

  const native = (name: string): string => (namespace === undefined ? name : `${namespace}.${name}`)
  const find = (name: string): Channel | undefined => {
    // Nearly always the channel of the message before.
    if (name === lastName && lastChannel && !lastChannel.deleted) return lastChannel
    lastName = name
    lastChannel = broker.channels.get(native(name))
    return lastChannel
  }
  const names: Names = { broker, find, native }
  const writer: Writer = {
    broker,
    find,
    get mayCreate() {
      return mayCreate
    },
  }
  const unreachable = (): PolybusError => over ?? connectionFailed(broker.name, 'no')
  const ask = <T>(call: Call, run: () => T): Promise<T> =>
    over || !connection ? Promise.reject(unreachable()) : through(broker, connection, call, run)
  const theChannel = ({ name }: ChannelSpec): Channel => {
    const channel = find(name)
    if (!channel) throw channelMissing(name, mayCreate)
    return channel
  }
  const theGroup = (spec: ChannelSpec, name: string): Group => {
    const group = theChannel(spec).groups.get(name)
    if (!group) throw groupMissing(spec.name, name)
    return group
  }

  const subscribe = (to: Connection, source: Source): Feed => {
    const { channel: spec } = source
    let channel = find(spec.name)
    if (!channel && mayCreate) {
      channel = createChannel(broker, spec)
      broker.channels.set(native(spec.name), channel)
      lastChannel = undefined
    }
    if (!channel) throw channelMissing(spec.name, false)
    const [conflict] = conflictsOf(channel, spec)
    if (conflict) throw new BusError('TOPOLOGY_CONFLICT', `${conflict.text}.`)
    const group = channel.groups.get(source.group)
    if (!group && !mayCreate) throw groupMissing(spec.name, source.group, 'TOPOLOGY_MISSING')
    return createFeed(writer, to, group ?? createGroup(broker, channel, source.group, source.from), source)
  }

  return {
    name: 'memory',
    seam: 1,
    clock: broker.clock,
    limits: { messages: 1000, bytes: 16 * 2 ** 20, concurrency: 16 },
    capabilities: () => broker.capabilities,
    size,
    faults: createFaults(writer, () => {
      over ??= closed('This memory adapter has crashed.')
      if (connection) end(broker, connection, over, true)
    }),

    connect(call: ConnectCall) {
      if (over) return Promise.reject(over)
      // A round trip: a connection that is only half open must not pass.
      if (connection && !connection.dead) {
        connection.onLost = call.onLost
        return through(broker, connection, call, () => undefined)
      }
      const refused = refusesConnection(broker)
      if (refused) return Promise.reject(refused)
      namespace = call.namespace
      mayCreate = call.topology === 'create'
      lastChannel = undefined
      const made = connect(broker)
      made.onLost = call.onLost
      connection = made
      return through(broker, made, call, () => undefined)
    },

    send(batch, call) {
      if (over || !connection || connection.dead) return Promise.reject(unreachable())
      const current = connection
      if (calm(broker, current) && broker.faults.loseAnswers === 0 && !call.signal.aborted) {
        const results = writeAll(writer, batch)
        return broker.clock.turn().then(() => results)
      }
      return through(broker, current, call, () => {
        const results = writeAll(writer, batch)
        if (broker.faults.loseAnswers === 0) return results
        broker.faults.loseAnswers--
        cut(broker, current)
        throw connectionFailed(broker.name, 'unknown')
      })
    },

    subscribe(source, call) {
      return ask(call, () => subscribe(connection as Connection, source))
    },

    close() {
      over ??= closed()
      if (connection) end(broker, connection, over, false)
      return Promise.resolve()
    },

    topology: {
      plan: (specs, call) => ask(call, () => plan(names, specs)),
      apply: (changes, call) =>
        ask(call, () => {
          lastChannel = undefined
          apply(names, changes)
        }),
    },
    stats: { read: (spec, group, call) => ask(call, () => readStats(broker, theGroup(spec, group))) },
    browse: { open: (spec, group, call) => ask(call, () => openSession(theGroup(spec, group), ask)) },
    rewind: { rewind: (spec, group, to, call) => ask(call, () => rewind(broker, theGroup(spec, group), to)) },
  }
}
