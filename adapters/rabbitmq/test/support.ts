// What the tests of RabbitMQ alone share: an adapter without core above it, and a client beside it.
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { RunningBroker } from '@polybus/brokers'
import {
  type ChannelSpec,
  type Delivery,
  type Feed,
  sleep,
  type Source,
  systemClock,
  type WireMessage,
} from '@polybus/core'
import { type ConfirmChannel, connect } from 'amqplib'
import { onTestFinished } from 'vitest'
import { rabbitmq, type RabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

export const clock = systemClock()
export const call = { signal: new AbortController().signal }

export interface Bench {
  readonly namespace: string
  readonly url: string
  /** A plain client. */
  client(): Promise<ConfirmChannel>
  open(options?: Partial<RabbitmqOptions>): RabbitmqAdapter
  connect(options?: Partial<RabbitmqOptions>, topology?: 'create' | 'verify' | 'none'): Promise<RabbitmqAdapter>
}

export function bench(broker: RunningBroker): Bench {
  const namespace = `t${randomUUID().slice(0, 8)}`
  const open: Bench['open'] = (options) => {
    const adapter = rabbitmq({ url: broker.url, heartbeatMs: 2000, commandTimeoutMs: 2000, ...options })
    onTestFinished(() => adapter.close())
    return adapter
  }
  return {
    namespace,
    url: broker.url,
    open,
    async client() {
      const connection = await connect(broker.url)
      onTestFinished(() => connection.close())
      const channel = await connection.createConfirmChannel()
      channel.on('error', () => {})
      return channel
    },
    async connect(options, topology = 'create') {
      const adapter = open(options)
      await adapter.connect({ ...call, namespace, service: 'test', topology })
      return adapter
    },
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

export async function create(adapter: RabbitmqAdapter, channel: ChannelSpec): Promise<void> {
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

export async function send(adapter: RabbitmqAdapter, channel: string, message: WireMessage): Promise<void> {
  const [result] = await adapter.send([{ handover: 0, message, to: { kind: 'channel', channel } }], call)
  if (!result?.ok) throw result?.error ?? new Error('no result')
}

export interface Member {
  readonly feed: Feed
  readonly lost: unknown[]
  take(count: number, timeoutMs?: number): Promise<readonly Delivery[]>
}

export async function subscribe(
  adapter: RabbitmqAdapter,
  channel: ChannelSpec,
  source: Partial<Source> = {},
): Promise<Member> {
  const lost: unknown[] = []
  const feed = await adapter.subscribe(
    {
      channel,
      group: 'work',
      from: 'beginning',
      maxInFlight: 100,
      maxBytes: 64 * 2 ** 20,
      durable: false,
      onLost: (tokens) => void lost.push(...tokens),
      onRevoke: () => Promise.resolve(),
      ...source,
    },
    call,
  )
  return {
    feed,
    lost,
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
  }
}

export async function until(condition: () => unknown, what: string, timeoutMs = 10_000): Promise<void> {
  const end = clock.now() + timeoutMs
  while (!(await condition())) {
    if (clock.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(clock, 20)
  }
}

/** rabbitmqctl, where the server runs natively; undefined: it can't be had. */
export function control(broker: RunningBroker): ((...args: readonly string[]) => Promise<string>) | undefined {
  const folder = dirname(dirname(broker.log))
  const program = '/usr/lib/rabbitmq/bin/rabbitmqctl'
  if (!existsSync(program) || !existsSync(join(folder, 'state.json'))) return undefined
  const { ports } = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as { ports: Record<string, number> }
  const env = {
    ...process.env,
    HOME: join(folder, 'data'),
    ERL_EPMD_PORT: String(ports['epmd']),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  }
  return async (...args) =>
    (await promisify(execFile)(program, ['-n', 'polybus@localhost', ...args], { env, timeout: 30_000 })).stdout
}
