// What the tests of RabbitMQ alone share: an adapter without core above it, and a client beside it.
import type { RunningBroker } from '@polybus/brokers'
import type { ChannelSpec, Source, WireMessage } from '@polybus/core'
import {
  adapterBench,
  type AdapterBench,
  call,
  channelSpec as spec,
  clock,
  drive,
  type Member,
  until,
  wireMessage as wire,
} from '@polybus/testkit'
import { type ConfirmChannel, connect } from 'amqplib'
import { onTestFinished } from 'vitest'
import { rabbitmq, type RabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

export { call, clock, spec, until, wire }
export type { Member }

export interface Bench extends AdapterBench<RabbitmqAdapter, RabbitmqOptions> {
  readonly url: string
  /** A plain client. */
  client(): Promise<ConfirmChannel>
}

export function bench(broker: RunningBroker): Bench {
  const make = (options: Partial<RabbitmqOptions>): RabbitmqAdapter =>
    rabbitmq({ url: broker.url, heartbeatMs: 2000, commandTimeoutMs: 2000, ...options })
  return {
    ...adapterBench(make, onTestFinished),
    url: broker.url,
    async client() {
      const connection = await connect(broker.url)
      onTestFinished(() => connection.close())
      const channel = await connection.createConfirmChannel()
      channel.on('error', () => {})
      return channel
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
