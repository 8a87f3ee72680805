// Programs that know nothing of Polybus, on both sides: kafkajs alone, and Kafka's own in Java.
import { describeBroker, kafkaTool, type RunningBroker } from '@polybus/brokers'
import { channel, consumer, createBus, fixed, trust } from '@polybus/core'
import kafkajs, { type Producer } from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import { bench, call, create, send, spec, subscribe, until, wire } from './support.ts'
import { kafkaRecord } from '../src/index.ts'
import { makeTopics } from './plain.ts'

vi.setConfig({ testTimeout: 45_000 })

const INSTANCE = 'tests'
async function producerOf({ host, port }: RunningBroker): Promise<Producer> {
  const plain = new kafkajs.Kafka({ brokers: [`${host}:${port}`], logLevel: kafkajs.logLevel.NOTHING })
  const producer = plain.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  onTestFinished(() => producer.disconnect())
  await producer.connect()
  return producer
}

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: what a plain producer writes is consumed, retried and dead-lettered, and its id is its place', async () => {
      const { open, connect, namespace, admin } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
      const bus = await createBus(open(), { namespace, logger: false })
      const seen: { id: string; attempt: number; n: number; trace: string | undefined }[] = []
      const records: unknown[] = []
      await bus.start(
        consumer(orders, 'work', {
          retry: { attempts: 2, backoff: fixed('10ms'), wait: 'released' },
          handler: (value, { message, attempt }) => {
            records.push(kafkaRecord(message))
            seen.push({ id: message.id, attempt, n: value.n, trace: message.headers['trace'] })
            throw new Error('no')
          },
        }),
      )
      const producer = await producerOf(broker())
      const topic = `${namespace}.orders`
      const headers = { trace: 'abc', constructor: 'odd', bytes: Buffer.from([255]), more: ['1', '2'] }
      const [{ baseOffset, partition } = { baseOffset: undefined, partition: -1 }] = await producer.send({
        topic,
        messages: [{ key: Buffer.from([0xff, 0]), value: '{"n":7}', headers }],
      })
      const id = `${topic}/${partition}/${baseOffset}`
      await until(() => seen.length === 2, 'both attempts', 20_000)
      expect(seen).toEqual([1, 2].map((attempt) => ({ id, attempt, n: 7, trace: 'abc' })))
      const record = { topic, partition, offset: BigInt(baseOffset ?? -1) }
      expect(records).toEqual([record, record])
      const dead = `${topic}.work.dlq`
      const tool = await admin()
      await until(async () => (await tool.fetchTopicOffsets(dead))[0]?.high === '1', 'the dead letter')
      const adapter = await connect()
      const look = await adapter.browse?.open(spec('orders'), 'work', call)
      const [letter] = (await look?.next(1, call)) ?? []
      expect(letter?.message.headers.filter(([name]) => !name.startsWith('polybus-'))).toEqual([
        ['trace', 'abc'],
        ['constructor', 'odd'],
        ['bytes', Buffer.from([255])],
        ['more', '1'],
        ['more', '2'],
      ])
      expect(String(letter?.message.body)).toBe('{"n":7}')
      await bus.close()
    })

    test("kafka: what Java's own producer writes is consumed, and our keys lie where it puts them", async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { keyed: true })
      await create(adapter, orders)
      const topic = `${namespace}.orders`
      await kafkaTool(INSTANCE, 'org.apache.kafka.tools.VerifiableProducer', [
        '--topic',
        topic,
        '--max-messages',
        '40',
        '--repeating-keys',
        '20',
      ])
      const member = await subscribe(adapter, orders)
      const got = await member.take(40, 15_000)
      expect(got.map(({ message }) => Number(message.body?.toString())).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 40 }, (_, n) => n),
      )
      const places = new Map(got.map(({ message, position }) => [message.key, position.split('/')[1]]))
      expect(places.size).toBe(20)
      for (const [key, place] of places) {
        const [position] = await send(adapter, orders, wire({ key }))
        expect(position?.split('/')[1]).toBe(place)
      }
    })

    test("kafka: Kafka's own consumer reads what we publish as plain body, key and headers", async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders', { keyed: true }))
      await send(
        adapter,
        spec('orders', { keyed: true }),
        wire({ id: 'o-1', key: 'c-1', type: 'placed', body: Buffer.from('{"cents":5}'), headers: [['trace', 'abc']] }),
      )
      const flags = ['print.headers=true', 'print.key=true', 'key.separator= | ', 'headers.separator=,']
      const where = [
        '--topic',
        `${namespace}.orders`,
        '--from-beginning',
        '--max-messages',
        '1',
        '--timeout-ms',
        '20000',
      ]
      const told = await kafkaTool(
        INSTANCE,
        'org.apache.kafka.tools.consumer.ConsoleConsumer',
        where.concat(flags.flatMap((flag) => ['--property', flag])),
      )
      const [headers = '', key, body] = told.trim().split(' | ')
      expect([key, body]).toEqual(['c-1', '{"cents":5}'])
      expect(headers.split(',')).toEqual([
        'ce_specversion:1.0',
        'ce_id:o-1',
        'ce_source:polybus',
        'ce_type:placed',
        'content-type:application/json',
        'ce_time:2023-11-14T22:13:20.000Z',
        'trace:abc',
      ])
    })

    test('kafka: a foreign topic, group and envelope are used as they are, and the offsets of the former consumer go on', async () => {
      const { connect, namespace, admin } = bench(broker())
      const tool = await admin()
      const [topic, groupId] = [`${namespace}-erp.v2`, `${namespace}-email-service`]
      await makeTopics(tool, [{ topic, numPartitions: 2 }])
      const producer = await producerOf(broker())
      const write = (n: number): Promise<unknown> =>
        producer.send({
          topic,
          messages: [{ key: `c-${n}`, value: `[${n}]`, partition: n % 2, headers: { 'x-id': `E-${n}` } }],
        })
      for (let n = 0; n < 6; n++) await write(n)
      // The former consumer had finished two of each.
      await tool.setOffsets({ groupId, topic, partitions: [0, 1].map((partition) => ({ partition, offset: '2' })) })
      const orders = {
        topic,
        declare: false,
        envelope: {
          id: ({ headers }: { readonly headers: Readonly<Record<string, Uint8Array>> }) =>
            headers['x-id'] && Buffer.from(headers['x-id']).toString(),
        },
        groups: { work: { groupId, deadLetter: `${topic}.DLT` } },
      }
      const adapter = await connect({ channels: { orders } })
      await create(adapter, spec('orders'))
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ backlog: 2 })
      const member = await subscribe(adapter, spec('orders'))
      const got = await member.take(2)
      expect(new Set(got.map(({ message }) => `${message.id} ${String(message.body)}`))).toEqual(
        new Set(['E-4 [4]', 'E-5 [5]']),
      )
      const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      await member.settle(...got.map(({ token }) => ({ token, kind: 'move', to, headers: [] }) as const))
      expect((await tool.fetchTopicOffsets(`${topic}.DLT`))[0]?.high).toBe('2')
    })

    test('kafka: without an envelope nothing of ours is on the wire', async () => {
      const { connect, namespace, url } = bench(broker())
      const adapter = await connect({ channels: { orders: { envelope: 'none' } } })
      await create(adapter, spec('orders', { groups: [] }))
      await send(
        adapter,
        spec('orders', { groups: [] }),
        wire({ key: 'k', headers: [['trace', 'abc']], contentType: undefined }),
      )
      const plain = new kafkajs.Kafka({ brokers: [new URL(url).host], logLevel: kafkajs.logLevel.NOTHING })
      const reader = plain.consumer({ groupId: `${namespace}-reader`, sessionTimeout: 6000 })
      onTestFinished(() => reader.disconnect())
      await reader.subscribe({ topic: `${namespace}.orders`, fromBeginning: true })
      const seen: unknown[] = []
      await reader.run({
        eachMessage: ({ message: { key, value, headers } }) => {
          seen.push([String(key), String(value), Object.entries(headers ?? {}).map(([name, each]) => `${name}=${String(each)}`)]) // prettier-ignore
          return Promise.resolve()
        },
      })
      await until(() => seen.length === 1, 'the message', 20_000)
      expect(seen[0]).toEqual(['k', '{}', ['trace=abc']])
    })

    test('kafka: what came compressed and is larger than the channel takes when it is copied still reaches the dead letters', async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const value = Buffer.alloc(3_000_000, 'abc')
      await (
        await producerOf(broker())
      ).send({
        topic: `${namespace}.orders`,
        compression: kafkajs.CompressionTypes.GZIP,
        messages: [{ key: 'k', value }],
      })
      const member = await subscribe(adapter, spec('orders'))
      const [delivery] = await member.take(1, 15_000)
      expect(delivery?.message.body?.byteLength).toBe(value.length)
      const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      const [result] = await member.settle({ token: delivery?.token, kind: 'move', to, headers: [] })
      if (!result?.ok) throw result?.error ?? new Error('no result')
      const look = await adapter.browse?.open(spec('orders'), 'work', call)
      const [letter] = (await look?.next(1, call)) ?? []
      expect(letter?.message.body && Buffer.from(letter.message.body).equals(value)).toBe(true)
    })

    test('kafka: tombstones and structured CloudEvents of others are read', async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const event = { specversion: '1.0', id: 'e-1', source: '/erp', type: 'made', data: { n: 1 } }
      await (
        await producerOf(broker())
      ).send({
        topic: `${namespace}.orders`,
        messages: [
          { key: 'k', value: null },
          { key: 'l', value: JSON.stringify(event), headers: { 'content-type': 'application/cloudevents+json' } },
        ],
      })
      const member = await subscribe(adapter, spec('orders'))
      const got = (await member.take(2)).map(({ message }) => message).toSorted((a, b) => ((a.key ?? '') < (b.key ?? '') ? -1 : 1)) // prettier-ignore
      expect(got[0]).toMatchObject({ key: 'k', body: null })
      expect(got[1]).toMatchObject({ id: 'e-1', source: '/erp', type: 'made', contentType: 'application/json' })
      expect(String(got[1]?.body)).toBe('{"n":1}')
    })
  },
  { instance: INSTANCE },
)
