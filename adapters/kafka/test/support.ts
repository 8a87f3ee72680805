// What the tests of Kafka alone share: an adapter without core above it, and kafkajs beside it.
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
import kafkajs, { type Admin } from 'kafkajs'
import { onTestFinished } from 'vitest'
import { kafka, type KafkaAdapter, type KafkaOptions } from '../src/index.ts'
import { via } from './library.ts'

export { call, clock, spec, until, wire }
export type { Member }
export const SESSION_MS = 2000

export interface Bench extends AdapterBench<KafkaAdapter, KafkaOptions> {
  readonly url: string
  /** kafkajs's own. */
  admin(): Promise<Admin>
}

export function bench(broker: RunningBroker): Bench {
  const make = (options: Partial<KafkaOptions>): KafkaAdapter =>
    kafka({
      url: broker.url,
      client: via(),
      sessionTimeoutMs: SESSION_MS,
      heartbeatMs: 200,
      commitMs: 100,
      acceptedHazards: ['replication', 'min-insync-replicas', 'retention', 'offsets-retention', 'crash-guard'],
      ...options,
    })
  return {
    ...adapterBench(make, onTestFinished),
    url: broker.url,
    async admin() {
      const plain = new kafkajs.Kafka({
        brokers: [`${broker.host}:${broker.port}`],
        logLevel: kafkajs.logLevel.NOTHING,
      })
      const admin = plain.admin()
      onTestFinished(() => admin.disconnect())
      await admin.connect()
      return admin
    },
  }
}

export const create = (adapter: KafkaAdapter, channel: ChannelSpec): Promise<void> => drive(adapter, channel).create()
export const send = (
  adapter: KafkaAdapter,
  channel: ChannelSpec,
  messages: WireMessage | readonly WireMessage[],
): Promise<string[]> => drive(adapter, channel).send(messages)
export const subscribe = (adapter: KafkaAdapter, channel: ChannelSpec, source: Partial<Source> = {}): Promise<Member> =>
  drive(adapter, channel).subscribe('work', source)

/** What the group has committed, by partition of the channel's topic; null: nothing. */
export async function committed(admin: Admin, topic: string, groupId: string): Promise<readonly (number | null)[]> {
  const [found] = await admin.fetchOffsets({ groupId, topics: [topic] })
  return (found?.partitions ?? [])
    .toSorted((a, b) => a.partition - b.partition)
    .map(({ offset }) => (offset === '-1' ? null : Number(offset)))
}
