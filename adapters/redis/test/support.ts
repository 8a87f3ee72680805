// What the tests of Redis alone share: an adapter without core above it, and a client beside it.
import { randomUUID } from 'node:crypto'
import type { RunningBroker } from '@polybus/brokers'
import {
  type ChannelSpec,
  type Delivery,
  type Feed,
  type Settlement,
  type Source,
  sleep,
  systemClock,
  type WireMessage,
} from '@polybus/core'
import { Redis } from 'ioredis'
import { onTestFinished } from 'vitest'
import { redis, type RedisAdapter, type RedisOptions } from '../src/index.ts'
import { keysOf, type Keys } from '../src/names.ts'

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

export const spec = (name: string, more: Partial<ChannelSpec> = {}): ChannelSpec => ({
  name,
  keyed: false,
  partitions: undefined,
  groups: ['work'],
  maxBytes: 256 * 1024,
  ...more,
})

export async function create(adapter: RedisAdapter, channel: ChannelSpec): Promise<void> {
  const plan = await adapter.topology?.plan([channel], call)
  if (plan?.conflicts.length) throw new Error(plan.conflicts.map(({ text }) => text).join('; '))
  await adapter.topology?.apply(plan?.changes ?? [], call)
}

export const wire = (more: Partial<WireMessage> = {}): WireMessage => ({
  id: randomUUID(),
  source: 'test',
  type: 'test',
  time: 1_700_000_000_000,
  key: undefined,
  headers: [],
  body: Buffer.from('{}'),
  contentType: 'application/json',
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
  ...more,
})

export async function send(
  adapter: RedisAdapter,
  channel: string,
  ...messages: readonly WireMessage[]
): Promise<string[]> {
  const results = await adapter.send(
    messages.map((message) => ({ handover: 0, message, to: { kind: 'channel', channel } })),
    call,
  )
  return results.map((result) => {
    if (!result.ok) throw result.error
    return result.value.position ?? ''
  })
}

export interface Member {
  readonly feed: Feed
  readonly lost: unknown[]
  /** Receives until there are so many, or the time is over. */
  take(count: number, timeoutMs?: number): Promise<readonly Delivery[]>
  ack(...deliveries: readonly Delivery[]): Promise<void>
  settle(...settlements: readonly Settlement[]): ReturnType<Feed['settle']>
}

export async function subscribe(
  adapter: RedisAdapter,
  channel: ChannelSpec,
  source: Partial<Source> = {},
): Promise<Member> {
  const lost: unknown[] = []
  const feed = await adapter.subscribe(
    {
      channel,
      group: 'work',
      from: 'beginning',
      maxInFlight: 1000,
      maxBytes: 64 * 2 ** 20,
      durable: false,
      onLost: (tokens) => void lost.push(...tokens),
      onRevoke: () => Promise.resolve(),
      ...source,
    },
    call,
  )
  const settle: Member['settle'] = (...settlements) => feed.settle(settlements, call)
  return {
    feed,
    lost,
    settle,
    async take(count, timeoutMs = 5000) {
      const taken: Delivery[] = []
      const end = clock.now() + timeoutMs
      while (taken.length < count && clock.now() < end) {
        const stop = new AbortController()
        const timer = clock.timer(end - clock.now(), () => stop.abort())
        taken.push(...(await feed.receive(count - taken.length, stop)))
        timer.cancel()
      }
      return taken
    },
    async ack(...deliveries) {
      for (const result of await settle(...deliveries.map(({ token }) => ({ token, kind: 'ack' }) as const)))
        if (!result.ok) throw result.error
    },
  }
}

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
