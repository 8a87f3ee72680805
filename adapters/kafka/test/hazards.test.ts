// What can lose messages is seen on the server, and named with its remedy.
import { describeBroker } from '@polybus/brokers'
import kafkajs from 'kafkajs'
import { describe, expect, test, vi } from 'vitest'
import { type Facts, hazardsOf } from '../src/hazards.ts'
import { layoutOf } from '../src/layout.ts'
import { checkOptions, type KafkaChannelOptions } from '../src/options.ts'
import { bench, call, create, spec, until } from './support.ts'

vi.setConfig({ testTimeout: 30_000 })

type Config = Record<string, string>
const BASE = 'shop.orders'
const kinds = (of: {
  readonly orders?: KafkaChannelOptions
  readonly replicas?: number
  readonly topics?: Readonly<Record<string, Config>>
  readonly broker?: Config
}): string[] => {
  const { orders = {}, replicas = 3, topics = {}, broker } = of
  const entries = (config: Config) => new Map(Object.entries(config).map(([name, value]) => [name, { name, value }]))
  const all = { [BASE]: {}, [`${BASE}.work.retry.1s`]: {}, [`${BASE}.work.dlq`]: { 'retention.ms': '-1' }, ...topics }
  const facts: Facts = {
    layout: layoutOf(checkOptions({ channels: { orders } }), 'shop', spec('orders')),
    topics: Object.entries(all).map(([topic, config]) => ({
      info: {
        topic,
        partitions: [{ partition: 0, leader: 1, replicas: Array.from({ length: replicas }, (_, n) => n) }],
      },
      config: entries({ 'min.insync.replicas': '2', ...config }),
    })),
    broker: broker && entries(broker),
  }
  return hazardsOf(facts)
    .map(({ kind, text }) => `${kind}: ${text}`)
    .filter((text) => !text.startsWith('crash-guard'))
}

describe('kafka: hazards', () => {
  test('there are none where three replicas, a week and two in sync are kept', () => {
    expect(kinds({ topics: { [BASE]: { 'retention.ms': '604800000', 'retention.bytes': '-1' } } })).toEqual([])
  })

  test.each<[string, Parameters<typeof kinds>[0], RegExp]>([
    ['one in sync', { topics: { [BASE]: { 'min.insync.replicas': '1' } } }, /^min-insync.*2 mends it/],
    ['unclean elections', { topics: { [BASE]: { 'unclean.leader.election.enable': 'true' } } }, /^unclean/],
    ['a short life', { topics: { [BASE]: { 'retention.ms': '3600000' } } }, /^retention: .*'shop.orders' .*3600 s/],
    ['a bounded size', { topics: { [BASE]: { 'retention.bytes': '1000' } } }, /^retention: .*retention\.bytes/],
    [
      'mortal dead letters',
      { topics: { [`${BASE}.work.dlq`]: { 'retention.ms': '604800000' } } },
      /dead letters after 168 h/,
    ],
    [
      'short retries',
      { topics: { [`${BASE}.work.retry.1s`]: { 'retention.ms': '1000' } } },
      /forgets retries after 1 s/,
    ],
    ['compaction', { topics: { [BASE]: { 'cleanup.policy': 'compact' } } }, /^compaction/],
    ['positions that expire soon', { broker: { 'offsets.retention.minutes': '60' } }, /^offsets-retention.*3600 s/],
  ])('%s is one', (_, of, expected) => {
    const found = kinds(of)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(expected)
  })

  test('what the channel itself asks for is none', () => {
    const config = { 'cleanup.policy': 'compact,delete', 'retention.ms': '3600000' }
    expect(kinds({ orders: { config }, topics: { [BASE]: config } })).toEqual([])
  })
})

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: hazards of a server are read from it, and those that are accepted are not told', async () => {
      const { connect, namespace, admin } = bench(broker())
      const adapter = await connect({ acceptedHazards: [] })
      await create(adapter, spec('orders'))
      const told = async (): Promise<string[]> =>
        ((await adapter.hazards?.(spec('orders'), call)) ?? []).map(({ kind }) => kind).toSorted()
      expect(await told()).toEqual(['crash-guard', 'replication'])
      await (
        await admin()
      ).alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name: `${namespace}.orders`,
            configEntries: [
              { name: 'retention.ms', value: '60000' },
              { name: 'cleanup.policy', value: 'compact,delete' },
            ],
          },
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name: `${namespace}.orders.work.dlq`,
            configEntries: [{ name: 'retention.ms', value: '86400000' }],
          },
        ],
      })
      const expected = ['compaction', 'crash-guard', 'replication', 'retention', 'retention']
      // What was altered is told a little later.
      await until(async () => (await told()).join() === expected.join(), 'all of them')
      const calm = await connect({ acceptedHazards: ['compaction', 'crash-guard', 'replication', 'retention'] })
      expect(await calm.hazards?.(spec('orders'), call)).toEqual([])
    })
  },
  { instance: 'tests' },
)
