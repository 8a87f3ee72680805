// Topics and groups: what is planned, made, and only reported.
import { describeBroker } from '@polybus/brokers'
import { type ChannelSpec, PolybusError } from '@polybus/core'
import kafkajs, { type Admin } from 'kafkajs'
import { expect, test, vi } from 'vitest'
import { bench, call, clock, committed, create, send, spec, subscribe, until, wire } from './support.ts'
import { makeTopics } from './plain.ts'
import type { KafkaAdapter } from '../src/index.ts'

vi.setConfig({ testTimeout: 30_000 })

const plan = async (
  adapter: KafkaAdapter,
  ...specs: ChannelSpec[]
): Promise<{ changes: string[]; conflicts: string[] }> => {
  const { changes, conflicts } = (await adapter.topology?.plan(specs, call)) ?? { changes: [], conflicts: [] }
  return { changes: changes.map(({ text }) => text), conflicts: conflicts.map(({ text }) => text) }
}
const partitionsOf = async (admin: Admin, topic: string): Promise<number> =>
  (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions.length ?? 0
async function settingsOf(admin: Admin, topic: string): Promise<Record<string, string>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
  })
  return Object.fromEntries(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]) ?? []) // prettier-ignore
}
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'none'
  } catch (error) {
    return PolybusError.is(error) ? `${error.code}: ${error.message}` : String(error)
  }
}

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: a channel and a declared group become topics, with settings that lose nothing, and a position', async () => {
      const { connect, namespace, admin } = bench(broker())
      const adapter = await connect()
      const wanted = await plan(adapter, spec('orders'))
      expect(wanted.conflicts).toEqual([])
      expect(wanted.changes).toHaveLength(2)
      expect(wanted.changes[1]).toContain(`'${namespace}.orders.work.dlq'`)
      await create(adapter, spec('orders'))
      expect(await plan(adapter, spec('orders'))).toEqual({ changes: [], conflicts: [] })
      const tool = await admin()
      const base = `${namespace}.orders`
      expect(await partitionsOf(tool, base)).toBe(8)
      for (const delay of ['1s', '10s', '1m', '10m'])
        expect(await partitionsOf(tool, `${base}.work.retry.${delay}`)).toBe(8)
      expect(await partitionsOf(tool, `${base}.work.dlq`)).toBe(1)
      expect(await settingsOf(tool, `${base}.work.dlq`)).toMatchObject({
        'retention.ms': '-1',
        'cleanup.policy': 'delete',
        'max.message.bytes': String(8 * 2 ** 20),
      })
      expect(await settingsOf(tool, `${base}.work.retry.1s`)).toMatchObject({ 'retention.ms': '1209600000' })
      expect(await committed(tool, base, `${base}.work`)).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    })

    test('kafka: what was just made takes messages on every partition at once', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { partitions: 30 })
      await create(adapter, orders)
      const positions = await send(
        adapter,
        orders,
        Array.from({ length: 200 }, (_, n) => wire({ key: `k-${n}` })),
      )
      expect(new Set(positions.map((position) => position.split('/')[1])).size).toBe(30)
    })

    test('kafka: settings of a channel are given to its topic, and compared later', async () => {
      const { connect, namespace, admin } = bench(broker())
      const config = { 'cleanup.policy': 'compact', 'retention.ms': '86400000' }
      await create(
        await connect({ channels: { orders: { partitions: 3, replicationFactor: 1, config } } }),
        spec('orders'),
      )
      const topic = `${namespace}.orders`
      expect(await settingsOf(await admin(), topic)).toMatchObject(config)
      expect(await partitionsOf(await admin(), topic)).toBe(3)
      const other = await connect({
        channels: {
          orders: { replicationFactor: 2, config: { ...config, 'retention.ms': '3600000', 'no.such': '1' } },
        },
      })
      expect((await plan(other, spec('orders', { partitions: 4 }))).conflicts).toEqual([
        `the topic '${topic}' has 3 partitions, not 4 (another number would move keys to other partitions)`,
        `the topic '${topic}' has 1 replicas, not 2`,
        `the topic '${topic}' has retention.ms '86400000', not '3600000'`,
        `the topic '${topic}' has no setting 'no.such'`,
      ])
      expect(await settingsOf(await admin(), topic)).toMatchObject(config)
      expect(await partitionsOf(await admin(), topic)).toBe(3)
      // Who names no number takes the one that is there.
      expect((await plan(await connect(), spec('orders'))).conflicts).toEqual([])
    })

    test('kafka: a setting that there is not, and more replicas than brokers, are refused soon and by name', async () => {
      const { connect } = bench(broker())
      const begin = clock.now()
      const odd = await connect({ channels: { orders: { config: { 'retention.years': '1' } } } })
      expect(await codeOf(create(odd, spec('orders')))).toMatch(/^INVALID_OPTION: .*retention\.years/)
      const many = await connect({ channels: { orders: { replicationFactor: 3 } } })
      expect(await codeOf(create(many, spec('orders')))).toMatch(/^INVALID_OPTION: .*replication.factor=3/)
      expect(clock.now() - begin).toBeLessThan(10_000)
    })

    test('kafka: eight processes that make the same at once all succeed', async () => {
      const { connect, namespace, admin } = bench(broker())
      const adapters = await Promise.all(Array.from({ length: 8 }, () => connect()))
      await Promise.all(adapters.map((adapter) => create(adapter, spec('orders'))))
      for (const adapter of adapters)
        expect(await plan(adapter, spec('orders'))).toEqual({ changes: [], conflicts: [] })
      expect(await partitionsOf(await admin(), `${namespace}.orders`)).toBe(8)
    })

    test('kafka: of two that make it at once with other numbers of partitions one is refused', async () => {
      const { connect } = bench(broker())
      const [one, two] = [await connect(), await connect()]
      const results = await Promise.all([
        codeOf(create(one, spec('orders', { partitions: 3 }))),
        codeOf(create(two, spec('orders', { partitions: 5 }))),
      ])
      expect(results.toSorted().at(-1)).toBe('none')
      expect(results.toSorted()[0]).toMatch(/partitions, not [35]/)
    })

    test('kafka: a name that Kafka takes for another one is a conflict that says so', async () => {
      const { connect, namespace } = bench(broker())
      await create(
        await connect({ channels: { orders: { topic: `${namespace}.a_b` } } }),
        spec('orders', { groups: [] }),
      )
      const other = await connect({ channels: { orders: { topic: `${namespace}_a.b` } } })
      expect(await codeOf(create(other, spec('orders', { groups: [] })))).toMatch(
        /^(TOPOLOGY_CONFLICT|INVALID_OPTION): .*collides/,
      )
    })

    test('kafka: partitions that somebody adds are no loss to a declared group', async () => {
      const { connect, namespace, admin } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { partitions: 2 })
      await create(adapter, orders)
      const tool = await admin()
      const topic = `${namespace}.orders`
      await tool.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
      const again = await connect()
      // Kafka tells a little later.
      await until(
        async () => (await plan(again, orders)).conflicts[0]?.includes('has 4 partitions, not 2'),
        'the conflict',
      )
      await create(again, spec('orders'))
      expect(await committed(tool, topic, `${topic}.work`)).toEqual([0, 0, 0, 0])
    })

    test('kafka: a group that began at the end misses nothing of partitions that somebody adds', async () => {
      const { connect, namespace, admin } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { groups: [], partitions: 1 })
      await create(adapter, orders)
      await send(adapter, orders, wire({ id: 'before' }))
      const first = await subscribe(adapter, orders, { from: 'end' })
      await send(adapter, orders, wire({ id: 'm-0' }))
      const taken = await first.take(1)
      expect(taken.map(({ message }) => message.id)).toEqual(['m-0'])
      await first.ack(...taken)
      const tool = await admin()
      const topic = `${namespace}.orders`
      await tool.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
      const more = spec('orders', { groups: [], partitions: 3 })
      const other = await connect()
      // Kafka tells a little later.
      await until(async () => (await plan(other, more)).conflicts.length === 0, 'the new partitions')
      const messages = Array.from({ length: 6 }, (_, n) => wire({ id: `m-${n + 1}` }))
      await send(other, more, messages)
      await first.feed.close()
      const second = await subscribe(other, more, { from: 'end' })
      const ids = (await second.take(6)).map(({ message }) => message.id)
      expect(new Set(ids)).toEqual(new Set(messages.map(({ id }) => id)))
    })

    test('kafka: a group that is declared later still gets what was there before', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders', { groups: [] }))
      await send(adapter, spec('orders', { groups: [] }), [wire({ id: 'm-1' }), wire({ id: 'm-2' })])
      await create(adapter, spec('orders'))
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ backlog: 2 })
      const member = await subscribe(adapter, spec('orders'), { from: 'end' })
      const got = await member.take(2)
      expect(new Set(got.map(({ message }) => message.id))).toEqual(new Set(['m-1', 'm-2']))
    })

    test.each(['verify', 'none'] as const)(
      'kafka: with topology %s nothing is made, and what is missing is named',
      async (topology) => {
        const { connect, namespace, admin } = bench(broker())
        const adapter = await connect({}, topology)
        const { changes } = await plan(adapter, spec('orders'))
        expect(changes.join()).toContain(`the topic '${namespace}.orders'`)
        for (const name of ['retry.1s', 'retry.10s', 'retry.1m', 'retry.10m', 'dlq', 'dlq.done'])
          expect(changes.join()).toContain(`'${namespace}.orders.work.${name}'`)
        expect(await codeOf(send(adapter, spec('orders'), wire()))).toMatch(/^TOPOLOGY_MISSING/)
        expect(await codeOf(subscribe(adapter, spec('orders')))).toMatch(/^TOPOLOGY_MISSING: .*orders/)
        const topics = await (await admin()).listTopics()
        expect(topics.filter((topic) => topic.startsWith(namespace))).toEqual([])
      },
    )

    test('kafka: topics made by hand, as the docs say, do for topology none', async () => {
      const { connect, namespace, admin } = bench(broker())
      const tool = await admin()
      const base = `${namespace}.orders`
      const topics = [
        { topic: base, numPartitions: 6 },
        ...['1s', '10s', '1m', '10m'].map((delay) => ({ topic: `${base}.work.retry.${delay}`, numPartitions: 2 })),
        { topic: `${base}.work.dlq`, numPartitions: 1 },
        { topic: `${base}.work.dlq.done`, numPartitions: 1 },
      ]
      await makeTopics(tool, topics)
      const adapter = await connect({}, 'none')
      expect(await plan(adapter, spec('orders'))).toEqual({ changes: [], conflicts: [] })
      await send(adapter, spec('orders'), wire({ id: 'm-1', key: 'k' }))
      const member = await subscribe(adapter, spec('orders'))
      const [delivery] = await member.take(1)
      const to = { kind: 'group', channel: 'orders', group: 'work', delayMs: 1000 } as const
      await member.settle({ token: delivery?.token, kind: 'move', to, headers: [['polybus-attempt', '1']] })
      const [again] = await member.take(1)
      expect(again?.message).toMatchObject({ id: 'm-1', key: 'k', headers: [['polybus-attempt', '1']] })
    })

    test('kafka: two groups may share a topic of dead letters', async () => {
      const { connect, namespace, admin } = bench(broker())
      const deadLetter = `${namespace}-DLT`
      const groups = { work: { deadLetter }, audit: { deadLetter } }
      const adapter = await connect({ channels: { orders: { groups } } })
      await create(adapter, spec('orders', { groups: ['work', 'audit'] }))
      expect(await partitionsOf(await admin(), deadLetter)).toBe(1)
    })

    test("kafka: a topic that is somebody else's is looked for and not made; what lies beside it is ours", async () => {
      const { connect, namespace, admin } = bench(broker())
      const topic = `${namespace}-erp`
      const adapter = await connect({ channels: { orders: { topic, declare: false } } })
      expect((await plan(adapter, spec('orders'))).conflicts[0]).toContain('not ours to create')
      const tool = await admin()
      await makeTopics(tool, [{ topic, numPartitions: 3 }])
      await create(adapter, spec('orders'))
      expect(await partitionsOf(tool, `${namespace}.orders.work.retry.1s`)).toBe(3)
      expect(await tool.listTopics()).not.toContain(`${namespace}.orders`)
    })
  },
  { instance: 'tests' },
)
