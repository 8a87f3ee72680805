// What the tests of Redis alone share: an adapter without core above it, and a client beside it.
import type { RunningBroker } from '@polybus/brokers'
import type { ChannelSpec, Source, WireMessage } from '@polybus/core'
import {
  adapterBench,
  type AdapterBench,
  call,
  channelSpec as spec,
  clock,
  drive,
  ids,
  type Member,
  numbered,
  until,
  wireMessage as wire,
} from '@polybus/testkit'
import { Redis } from 'ioredis'
import { onTestFinished } from 'vitest'
import { redis, type RedisAdapter, type RedisOptions } from '../src/index.ts'
import { keysOf, type Keys } from '../src/names.ts'

export { call, clock, ids, numbered, spec, until, wire }
export type { Member }

export interface Bench extends AdapterBench<RedisAdapter, RedisOptions> {
  /** A plain client. */
  readonly client: Redis
  readonly url: string
  keys(channel: string, keyed?: boolean): Keys
}

export function bench(broker: RunningBroker): Bench {
  const client = new Redis(broker.url, { lazyConnect: false })
  onTestFinished(() => client.disconnect())
  const own = adapterBench(
    (options: Partial<RedisOptions>) => redis({ url: broker.url, leaseMs: 1000, laneLeaseMs: 1500, ...options }),
    onTestFinished,
  )
  return {
    ...own,
    client,
    url: broker.url,
    keys: (channel, keyed = false) => keysOf(own.namespace, channel, keyed),
  }
}

export const create = (adapter: RedisAdapter, channel: ChannelSpec): Promise<void> => drive(adapter, channel).create()
export const send = (adapter: RedisAdapter, channel: string, ...messages: readonly WireMessage[]): Promise<string[]> =>
  drive(adapter, spec(channel)).send(messages)
export const subscribe = (adapter: RedisAdapter, channel: ChannelSpec, source: Partial<Source> = {}): Promise<Member> =>
  drive(adapter, channel).subscribe('work', { maxInFlight: 1000, ...source })
