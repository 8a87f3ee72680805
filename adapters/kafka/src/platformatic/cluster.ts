// A cluster of @platformatic/kafka: one connection for each broker, kept by ourselves. Its own pool keeps no more.
import type { Clock } from '@polybus/core'
import type { Broker, Cluster } from '../engine/wire.ts'
import { connectionFailed } from '../errors.ts'
import type { PlatformaticSettings } from '../options.ts'
import { within } from '../wait.ts'
import { createBroker, type Metadata, type WiredBroker } from './broker.ts'
import { type Address, openConnection } from './connection.ts'
import { loadLibrary } from './library.ts'

export interface ClusterOptions {
  readonly settings: PlatformaticSettings
  readonly clientId: string
  readonly clock: Clock
  /** For a connection, and again for its first answer. */
  readonly timeoutMs: number
}

export function openCluster({ settings, clientId, clock, timeoutMs }: ClusterOptions, broker: string): Cluster {
  /** By `host:port`, as brokers tell it: the one that was asked first may be among them. */
  const brokers = new Map<string, Promise<WiredBroker>>()
  const life = new AbortController()
  let known: Metadata | undefined

  const open = async (address: Address): Promise<WiredBroker> => {
    const library = await loadLibrary()
    if (life.signal.aborted) throw life.signal.reason
    const connection = await openConnection(library, settings, clientId, address, timeoutMs, life.signal)
    try {
      return await within(clock, timeoutMs, life.signal, createBroker(library, connection))
    } catch (error) {
      void connection.close()
      throw error
    }
  }
  const at = async (place: string, address: Address): Promise<WiredBroker> => {
    const have = await brokers.get(place)?.catch(() => undefined)
    // A broker ends connections that nobody uses.
    if (have && !have.connection.isOpen()) brokers.delete(place)
    let opening = brokers.get(place)
    if (!opening) {
      opening = open(address)
      brokers.set(place, opening)
      opening.catch(() => brokers.delete(place))
    }
    return opening
  }
  const seed = (): Promise<WiredBroker> => {
    const colon = broker.lastIndexOf(':')
    return at(broker, { host: broker.slice(0, colon), port: Number(broker.slice(colon + 1)) })
  }
  return {
    // Its requests have no time-outs of their own here.
    graceMs: 0,
    async connect() {
      await seed()
    },
    get known() {
      return known
    },
    async metadata(topics) {
      known = await (await seed()).metadata(topics)
      return known
    },
    async broker(node): Promise<Broker> {
      if (node === 'any') return seed()
      const found = known?.brokers.find(({ nodeId }) => nodeId === node)
      if (!found) throw connectionFailed(`there is no broker ${node}`, 'no')
      return at(`${found.host}:${found.port}`, found)
    },
    async close() {
      const close = async (opening: Promise<WiredBroker>): Promise<void> => (await opening).connection.close()
      await Promise.allSettled([...brokers.values()].map(close))
    },
    disconnect(error) {
      life.abort(error)
    },
  }
}
