// What is urgent goes first, where every queue of the channel heeds it.
import { describeBroker } from '@polybus/brokers'
import { channel, type ChannelSpec, consumer, createBus, fixed, trust } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { capabilitiesOf, priorityInLine } from '../src/capabilities.ts'
import { toNative } from '../src/mapping.ts'
import { checkOptions, type RabbitmqOptions } from '../src/options.ts'
import { bench, spec, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 30_000 })

test('rabbitmq mapping: a priority is the property of that name, and none is none', () => {
  expect(toNative(wire(), undefined, 7).options.priority).toBe(7)
  expect('priority' in toNative(wire()).options).toBe(false)
})

test.each([
  [3, 9, 9],
  [4, 9, 4],
  [4, 2, 2],
] as const)('rabbitmq mapping: on version %i a copy of priority %i waits with %i', (major, priority, expected) => {
  expect(priorityInLine(priority, [major, 0])).toBe(expected)
})

test('rabbitmq mapping: priorities exist where every queue of the channel heeds them', () => {
  const able = (channels: RabbitmqOptions['channels'], major: number, spec: Partial<ChannelSpec> = {}): boolean =>
    capabilitiesOf(
      checkOptions({ channels }),
      { name: 'orders', keyed: false, partitions: undefined, groups: ['a', 'b'], maxBytes: 1000, ...spec },
      [major, 0],
    ).priority
  const classic = { 'x-queue-type': 'classic' }
  const both = {
    orders: { groups: { a: { arguments: { ...classic, 'x-max-priority': 5 } }, b: { arguments: classic } } },
  }
  expect(able({}, 3)).toBe(false)
  expect(able({}, 0)).toBe(false)
  expect(able({}, 4)).toBe(true)
  expect(able({}, 4, { keyed: true })).toBe(false)
  expect(able(both, 4)).toBe(false)
  expect(able(both, 3, { groups: ['a'] })).toBe(false)
  expect(able({ orders: { groups: { a: both.orders.groups.a } } }, 4)).toBe(true)
  expect(able({ orders: { groups: { a: both.orders.groups.a } } }, 3, { groups: ['a'] })).toBe(true)
})

await describeBroker(
  'rabbitmq',
  (broker) => {
    test('rabbitmq: of what waits in a queue with priorities the higher one comes first, and keeps it through retries and dead letters', async () => {
      const { open, namespace, client } = bench(broker())
      const priorities = { 'x-queue-type': 'classic', 'x-max-priority': 9 }
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work', 'other'] })
      const urgent = { groups: { work: { arguments: priorities }, other: { arguments: priorities } } }
      const bus = await createBus(open({ channels: { orders: urgent } }), { namespace, logger: false })
      for (const [n, priority] of [
        [1, undefined],
        [2, 1],
        [3, 4],
      ] as const)
        await bus.publish(orders, { n }, priority === undefined ? {} : { priority })
      const plain = await client()
      const first = await plain.get(`${namespace}.orders.other`, { noAck: true })
      expect(first && JSON.parse(String(first.content))).toEqual({ n: 3 })
      const seen: string[] = []
      await bus.start(
        consumer(orders, 'work', {
          concurrency: 1,
          retry: { attempts: 2, backoff: fixed('1s'), wait: 'released' },
          handler({ n }, { attempt }) {
            seen.push(`${n}/${attempt}`)
            if (n === 3) throw new Error('not this one')
          },
        }),
      )
      await until(() => seen.length === 4, 'all, and one twice')
      expect(seen).toEqual(['3/1', '2/1', '1/1', '3/2'])
      let letter = await plain.get(`${namespace}.orders.work:dead`, { noAck: true })
      await until(
        async () => (letter ||= await plain.get(`${namespace}.orders.work:dead`, { noAck: true })),
        'a letter',
      )
      expect(letter && letter.properties.priority).toBe(4)
      await bus.close()
    })

    test('rabbitmq: a priority is refused where a group of the channel would not heed it, and where keys promise an order', async () => {
      const { connect, open, namespace } = bench(broker())
      const priorities = { arguments: { 'x-queue-type': 'classic', 'x-max-priority': 9 } }
      const adapter = await connect({ channels: { orders: { groups: { work: priorities } } } })
      // Quorum queues heed them from 4.0 on.
      const quorum = Number(String(adapter.client?.connection.serverProperties['version']).split('.')[0]) >= 4
      const able = (name: string, more: Partial<ChannelSpec> = {}): boolean =>
        adapter.capabilities(spec(name, more)).priority
      expect(able('orders')).toBe(true)
      expect(able('orders', { groups: ['work', 'other'] })).toBe(quorum)
      expect(able('orders', { keyed: true })).toBe(false)
      expect(able('others')).toBe(quorum)
      expect(able('others', { groups: [] })).toBe(quorum)
      const bus = await createBus(open(), { namespace, logger: false })
      const keyed = channel('keyed', { schema: trust<{ n: string }>(), key: ({ n }) => n, groups: ['work'] })
      const error = await bus.publish(keyed, { n: 'a' }, { priority: 5 }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'UNSUPPORTED', sent: 'no' })
      await bus.close()
    })
  },
  { instance: 'rabbitmq-foreign' },
)
