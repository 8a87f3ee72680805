// What the tests of Redis alone share: an adapter without core above it, and a client beside it.
import { randomUUID } from 'node:crypto'
import type { RunningBroker } from '@polybus/brokers'
import { type ChannelSpec, type Delivery, sleep, type Source, systemClock, type WireMessage } from '@polybus/core'
import { channelSpec as spec, drive, type Member, wireMessage as wire } from '@polybus/testkit'
import { Redis } from 'ioredis'
import { onTestFinished } from 'vitest'
import { redis, type RedisAdapter, type RedisOptions } from '../src/index.ts'
import { keysOf, type Keys } from '../src/names.ts'

export { spec, wire }
export type { Member }
export const clock = systemClock()
export const call = { signal: new AbortController().signal }

export interface Bench {
  readonly namespace: string
  /** A plain client. */
  readonly client: Redis
  readonly url: string
  open(options?: Partial<RedisOptions>): RedisAdapter
  connect(options?: Partial<RedisOptions>, topology?: 'create' | 'verify' | 'none'): Promise<RedisAdapter>
  keys(channel: string, keyed?: boolean): Keys
}

export function bench(broker: RunningBroker): Bench {
  const namespace = `t${randomUUID().slice(0, 8)}`
  const client = new Redis(broker.url, { lazyConnect: false })
  onTestFinished(() => client.disconnect())
  const open: Bench['open'] = (options) => {
    const adapter = redis({ url: broker.url, leaseMs: 1000, laneLeaseMs: 1500, ...options })
    onTestFinished(() => adapter.close())
    return adapter
  }
  return {
    namespace,
    client,
    url: broker.url,
    open,
    async connect(options, topology = 'create') {
      const adapter = open(options)
      await adapter.connect({ ...call, namespace, service: 'test', topology })
      return adapter
    },
    keys: (channel, keyed = false) => keysOf(namespace, channel, keyed),
  }
}

export const create = (adapter: RedisAdapter, channel: ChannelSpec): Promise<void> => drive(adapter, channel).create()
export const send = (adapter: RedisAdapter, channel: string, ...messages: readonly WireMessage[]): Promise<string[]> =>
  drive(adapter, spec(channel)).send(messages)
export const subscribe = (adapter: RedisAdapter, channel: ChannelSpec, source: Partial<Source> = {}): Promise<Member> =>
  drive(adapter, channel).subscribe('work', { maxInFlight: 1000, ...source })

type What = string | (() => string | Promise<string>)
export async function until(condition: () => unknown, what: What, timeoutMs = 10_000): Promise<void> {
  const end = clock.now() + timeoutMs
  while (!(await condition())) {
    if (clock.now() > end)
      throw new Error(`Waited ${timeoutMs} ms in vain: ${typeof what === 'string' ? what : await what()}`)
    await sleep(clock, 20)
  }
}

export const ids = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ message }) => message.id ?? '')
export const numbered = (count: number, more: Partial<WireMessage> = {}): WireMessage[] =>
  Array.from({ length: count }, (_, n) => wire({ id: `m-${n}`, ...more }))
