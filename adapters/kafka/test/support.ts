// What the tests of Kafka alone share: an adapter without core above it, and kafkajs beside it.
import { randomUUID } from 'node:crypto'
import type { RunningBroker } from '@polybus/brokers'
import { type ChannelSpec, sleep, type Source, systemClock, type WireMessage } from '@polybus/core'
import { channelSpec as spec, drive, type Member, wireMessage as wire } from '@polybus/testkit'
import kafkajs, { type Admin } from 'kafkajs'
import { onTestFinished } from 'vitest'
import { kafka, type KafkaAdapter, type KafkaOptions } from '../src/index.ts'

export { spec, wire }
export type { Member }
export const clock = systemClock()
export const call = { signal: new AbortController().signal }
export const SESSION_MS = 2000

export interface Bench {
  readonly namespace: string
  readonly url: string
  /** kafkajs's own. */
  admin(): Promise<Admin>
  open(options?: Partial<KafkaOptions>): KafkaAdapter
  connect(options?: Partial<KafkaOptions>, topology?: 'create' | 'verify' | 'none'): Promise<KafkaAdapter>
}

export function bench(broker: RunningBroker): Bench {
  const namespace = `t${randomUUID().slice(0, 8)}`
  const open: Bench['open'] = (options) => {
    const adapter = kafka({
      url: broker.url,
      sessionTimeoutMs: SESSION_MS,
      heartbeatMs: 200,
      commitMs: 100,
      acceptedHazards: ['replication', 'min-insync-replicas', 'retention', 'offsets-retention', 'crash-guard'],
      ...options,
    })
    onTestFinished(() => adapter.close())
    return adapter
  }
  return {
    namespace,
    url: broker.url,
    open,
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
    async connect(options, topology = 'create') {
      const adapter = open(options)
      await adapter.connect({ ...call, namespace, service: 'test', topology })
      return adapter
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

export async function until(condition: () => unknown, what: string, timeoutMs = 10_000): Promise<void> {
  const end = clock.now() + timeoutMs
  while (!(await condition())) {
    if (clock.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(clock, 20)
  }
}

/** What the group has committed, by partition of the channel's topic; null: nothing. */
export async function committed(admin: Admin, topic: string, groupId: string): Promise<readonly (number | null)[]> {
  const [found] = await admin.fetchOffsets({ groupId, topics: [topic] })
  return (found?.partitions ?? [])
    .toSorted((a, b) => a.partition - b.partition)
    .map(({ offset }) => (offset === '-1' ? null : Number(offset)))
}
