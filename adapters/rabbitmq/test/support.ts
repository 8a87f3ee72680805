// What the tests of RabbitMQ alone share: an adapter without core above it, and a client beside it.
import { randomUUID } from 'node:crypto'
import type { RunningBroker } from '@polybus/brokers'
import { type ChannelSpec, sleep, type Source, systemClock, type WireMessage } from '@polybus/core'
import { channelSpec as spec, drive, type Member, wireMessage as wire } from '@polybus/testkit'
import { type ConfirmChannel, connect } from 'amqplib'
import { onTestFinished } from 'vitest'
import { rabbitmq, type RabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

export { spec, wire }
export type { Member }
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

export const create = (adapter: RabbitmqAdapter, channel: ChannelSpec): Promise<void> =>
  drive(adapter, channel).create()
export const send = (adapter: RabbitmqAdapter, channel: string, message: WireMessage): Promise<string[]> =>
  drive(adapter, spec(channel)).send(message)
export const subscribe = (
  adapter: RabbitmqAdapter,
  channel: ChannelSpec,
  source: Partial<Source> = {},
): Promise<Member> => drive(adapter, channel).subscribe('work', source)

export async function until(condition: () => unknown, what: string, timeoutMs = 10_000): Promise<void> {
  const end = clock.now() + timeoutMs
  while (!(await condition())) {
    if (clock.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(clock, 20)
  }
}
