// Transactional delivery: a partition's position, and what goes with it.
import { describeBroker } from '@polybus/brokers'
import {
  type BrowseSession,
  channel,
  consumer,
  createBus,
  type Delivery,
  type Settlement,
  sleep,
  trust,
} from '@polybus/core'
import { drive, faultProxy, outgoing } from '@polybus/testkit'
import kafkajs, { type Admin } from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { KafkaAdapter } from '../src/index.ts'
import { openClient } from '../src/open-client.ts'
import { checkOptions } from '../src/options.ts'
import { via } from './library.ts'
import { bench, call, clock, committed, create, type Member, send, spec, subscribe, until, wire } from './support.ts' // prettier-ignore

vi.setConfig({ testTimeout: 60_000 })

const orders = spec('orders', { partitions: 1 })
const results = spec('results', { partitions: 1 })
const transactional = { transactional: true }
const ids = (deliveries: readonly Delivery[]): (string | undefined)[] => deliveries.map(({ message }) => message.id)
const withResult = (delivery: Delivery, by = ''): Settlement => ({
  token: delivery.token,
  kind: 'ack',
  outputs: [
    outgoing(wire({ id: `result of ${delivery.message.id}${by}` }), { kind: 'channel', channel: results.name }),
  ],
})

async function limitOf(admin: Admin, topic: string): Promise<string | undefined> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: ['max.message.bytes'] }],
  })
  return resources[0]?.configEntries[0]?.configValue
}

await describeBroker(
  'kafka',
  (broker) => {
    const start = async (count: number): Promise<ReturnType<typeof bench> & { adapter: KafkaAdapter }> => {
      const own = bench(broker())
      const adapter = await own.connect()
      await create(adapter, orders)
      await create(adapter, results)
      await send(adapter, orders, Array.from({ length: count }, (_, n) => wire({ id: `m${n}` }))) // prettier-ignore
      return { ...own, adapter }
    }
    const position = async ({ admin, namespace }: ReturnType<typeof bench>): Promise<number | null> =>
      (await committed(await admin(), `${namespace}.orders`, `${namespace}.orders.work`))[0] ?? null

    test('kafka: what a message publishes is seen with its position, behind those before it, and not earlier', async () => {
      const own = await start(3)
      const reader = await drive(own.adapter, results).subscribe('reader')
      const member = await subscribe(own.adapter, orders, transactional)
      const [first, second, third] = (await member.take(3)) as [Delivery, Delivery, Delivery]
      expect((await member.settle(withResult(third), withResult(second))).every(({ ok }) => ok)).toBe(true)
      expect(await reader.take(1, 1000)).toEqual([])
      expect(await position(own)).toBe(0)
      await member.settle(withResult(first))
      expect(ids(await reader.take(3))).toEqual(['result of m0', 'result of m1', 'result of m2'])
      await until(async () => (await position(own)) === 3, 'the position')
    })

    test('kafka: a dead letter is written in the transaction of its position', async () => {
      const own = await start(2)
      const member = await subscribe(own.adapter, orders, transactional)
      const [first, second] = (await member.take(2)) as [Delivery, Delivery]
      const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      await member.settle({ token: second.token, kind: 'move', to, headers: [['polybus-reason', 'test']] })
      const letters = async (): Promise<readonly (string | undefined)[]> => {
        const session = await own.adapter.browse?.open(orders, 'work', call)
        const found = (await session?.next(10, call)) ?? []
        await session?.close()
        return found.map(({ message }) => message.id)
      }
      expect(await letters()).toEqual([])
      await member.ack(first)
      await until(async () => (await letters()).length > 0, 'the dead letter')
      expect(await letters()).toEqual(['m1'])
      expect(await position(own)).toBe(2)
    })

    test('kafka: a look waits for the end of a transaction that had written a letter, and not for ever', async () => {
      const own = await start(0)
      const { host, port } = broker()
      const settings = checkOptions({ client: via({ brokers: [`${host}:${port}`] }) })
      const client = openClient(settings, clock, 'other')
      onTestFinished(() => client.close())
      const other = client.transactional(`${own.namespace}.other`)
      const bury = async (id: string): Promise<void> => {
        await other.begin(call)
        const record = { key: null, value: Buffer.from('{}'), headers: [['ce_id', id]] as const }
        await other.produce([{ topic: `${own.namespace}.orders.work.dlq`, partition: 0, records: [record] }], call)
      }
      const look = async (adapter = own.adapter): Promise<BrowseSession> =>
        (await adapter.browse?.open(orders, 'work', call)) as BrowseSession
      await bury('m0')
      const early = await look()
      const found = early.next(10, call)
      expect(await Promise.race([found, sleep(clock, 100)])).toBe(undefined)
      await other.commit(call)
      expect((await found).map(({ message }) => message.id)).toEqual(['m0'])

      await bury('m1')
      const impatient = await own.connect({ commandTimeoutMs: 300 })
      const late = await look(impatient)
      expect((await late.next(10, call)).map(({ message }) => message.id)).toEqual(['m0'])
      expect(await late.next(10, call)).toEqual([])
      await other.abort(call)
      expect(await late.next(10, call)).toEqual([])
    })

    test('kafka: a stop commits what is finished, and leaves the rest to the next member', async () => {
      const own = await start(3)
      const reader = await drive(own.adapter, results).subscribe('reader')
      const member = await subscribe(own.adapter, orders, transactional)
      const [first, , third] = (await member.take(3)) as [Delivery, Delivery, Delivery]
      await until(async () => (await position(own)) === 0, 'the first transaction')
      await member.settle(withResult(first), withResult(third))
      await member.feed.close()
      expect(ids(await reader.take(2, 1000))).toEqual(['result of m0'])
      const next = await subscribe(own.adapter, orders, transactional)
      expect(ids(await next.take(3, 2000))).toEqual(['m1', 'm2'])
    })

    test('kafka: what a member wrote that died before its commit is never seen', async () => {
      const own = await start(2)
      const { host, port } = broker()
      const settings = checkOptions({ client: via({ brokers: [`${host}:${port}`] }) })
      const client = openClient(settings, clock, 'dead')
      onTestFinished(() => client.close())
      const { namespace } = own
      const dead = client.transactional(`${namespace}.orders.work.${namespace}.orders.0`)
      await dead.initialise(call)
      await dead.begin(call)
      const record = { key: null, value: Buffer.from('half'), headers: [] }
      await dead.produce([{ topic: `${namespace}.results`, partition: 0, records: [record] }], call)
      const place = { topic: `${namespace}.orders`, partition: 0, offset: 2n }
      await dead.sendOffsets(`${namespace}.orders.work`, [place], call)
      const reader = await drive(own.adapter, results).subscribe('reader')
      const member = await subscribe(own.adapter, orders, transactional)
      const both = await member.take(2)
      expect(ids(both)).toEqual(['m0', 'm1'])
      await member.settle(...both.map((delivery) => withResult(delivery)))
      expect(ids(await reader.take(3, 2000))).toEqual(['result of m0', 'result of m1'])
      await expect(dead.commit(call)).rejects.toMatchObject({ code: 'LEASE_LOST' })
    })

    test('kafka: what cannot be written stops its partition and is told in health, and is there once it can be', async () => {
      const { open, admin, namespace } = bench(broker())
      const tool = await admin()
      const source = channel('orders', { schema: trust<{ n: number }>(), partitions: 1, groups: ['work'] })
      const target = channel('results', { schema: trust<{ n: number; text: string }>(), partitions: 1 })
      const bus = await createBus(open(), { namespace, logger: false })
      onTestFinished(() => bus.close())
      const seen: number[] = []
      await bus.start(consumer(target, 'reader', { handler: ({ n }) => void seen.push(n) }))
      const limit = async (bytes: string): Promise<unknown> =>
        tool.alterConfigs({
          validateOnly: false,
          resources: [
            {
              type: kafkajs.ConfigResourceTypes.TOPIC,
              name: `${namespace}.results`,
              configEntries: [{ name: 'max.message.bytes', value: bytes }],
            },
          ],
        })
      await limit('2000')
      await until(async () => (await limitOf(tool, `${namespace}.results`)) === '2000', 'the limit')
      await bus.start(
        consumer(source, 'work', {
          delivery: 'transactional',
          async handler({ n }, { publish }) {
            await publish(target, { n, text: 'x'.repeat(n === 1 ? 5000 : 1) })
          },
        }),
      )
      for (const n of [0, 1, 2]) await bus.publish(source, { n })
      await until(() => bus.health().reasons.some((reason) => reason.includes('MESSAGE_TOO_LARGE')), 'health to say so')
      expect(bus.health().status).not.toBe('up')
      const position = async (): Promise<unknown> =>
        (await committed(tool, `${namespace}.orders`, `${namespace}.orders.work`))[0]
      expect(await position()).toBeLessThanOrEqual(1)
      expect(seen.filter((n) => n > 0)).toEqual([])
      await limit('100000')
      await until(() => seen.length === 3, 'all results', 20_000)
      expect(seen).toEqual([0, 1, 2])
      await until(async () => (await position()) === 3, 'the position')
    })

    test('kafka: what a member commits that was taken for dead is shut out, and the other one counts alone', async () => {
      const own = await start(10)
      const proxy = await faultProxy(broker())
      onTestFinished(() => proxy.close())
      const { host, port } = proxy
      const brokers = [`${host}:${port}`]
      const sleeper = await own.connect({
        client: via({ brokers, to: { host, port } }),
      })
      const reader = await drive(own.adapter, results).subscribe('reader')
      const one: Member = await subscribe(sleeper, orders, transactional)
      const held = await one.take(10)
      expect(held).toHaveLength(10)
      proxy.pause()
      // Handed over, and on its way.
      await one.settle(...held.map((delivery) => withResult(delivery, ' (late)')))
      const two = await subscribe(own.adapter, orders, transactional)
      const theirs = await two.take(10, 10_000)
      expect(theirs).toHaveLength(10)
      proxy.resume()
      await two.settle(...theirs.map((delivery) => withResult(delivery)))
      expect(ids(await reader.take(11, 4000))).toEqual(held.map(({ message }) => `result of ${message.id}`))
      expect(await position(own)).toBe(10)
    })
  },
  { instance: 'kafka-transactions' },
)
