// Numbers, compared with what Kafka's own tool says.
import { describeBroker, kafkaTool } from '@polybus/brokers'
import { type ChannelSpec, PolybusError, type Stats } from '@polybus/core'
import kafkajs from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { KafkaAdapter } from '../src/index.ts'
import { bench, call, create, send, spec, subscribe, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 45_000 })

const INSTANCE = 'tests'
const read = async (adapter: KafkaAdapter, channel: ChannelSpec): Promise<Stats> => {
  const stats = await adapter.stats?.read(channel, 'work', call)
  if (!stats) throw new Error('no stats')
  return stats
}
/** The sum of the column LAG, over all topics of the group. */
async function toolLag(group: string): Promise<number> {
  const told = await kafkaTool(INSTANCE, 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', [
    '--describe',
    '--group',
    group,
  ])
  const lines = told.split('\n').map((line) => line.trim().split(/\s+/))
  const at = lines.find((line) => line.includes('LAG'))?.indexOf('LAG') ?? -1
  const lags = lines.filter(([first]) => first === group).map((line) => Number(line[at]))
  if (at < 0 || lags.some(Number.isNaN)) throw new Error(`cannot read: ${told}`)
  return lags.reduce((sum, lag) => sum + lag, 0)
}

await describeBroker(
  'kafka',
  (broker) => {
    test("kafka: the backlog is what Kafka's own tool calls lag: unread, in the middle, and when all is done", async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { keyed: true })
      const group = `${namespace}.orders.work`
      await create(adapter, orders)
      await send(
        adapter,
        orders,
        Array.from({ length: 500 }, (_, n) => wire({ key: `k-${n % 50}` })),
      )
      expect([(await read(adapter, orders)).backlog, await toolLag(group)]).toEqual([500, 500])
      const member = await subscribe(adapter, orders, { maxInFlight: 1000 })
      const first = await member.take(123)
      await member.ack(...first)
      await member.feed.close()
      const some = await toolLag(group)
      expect([(await read(adapter, orders)).backlog, some]).toEqual([some, some])
      expect(some).toBeGreaterThanOrEqual(377)
      expect(some).toBeLessThan(500)
      const again = await subscribe(adapter, orders, { maxInFlight: 1000 })
      const rest = await again.take(377, 10_000)
      expect(rest).toHaveLength(377)
      await again.ack(...rest)
      await until(async () => (await read(adapter, orders)).backlog === 0, 'a backlog of 0')
      expect(await toolLag(group)).toBe(0)
    })

    test("kafka: what stands behind another client's open transaction is lag, as Kafka's own tool has it", async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { partitions: 1 })
      await create(adapter, orders)
      await send(adapter, orders, [wire()])
      const member = await subscribe(adapter, orders)
      await member.ack(...(await member.take(1)))
      const { host, port } = broker()
      const { Kafka, logLevel } = kafkajs
      const other = new Kafka({ brokers: [`${host}:${port}`], logLevel: logLevel.NOTHING }).producer({
        transactionalId: `${namespace}-hangs`,
        maxInFlightRequests: 1,
        idempotent: true,
      })
      await other.connect()
      onTestFinished(() => other.disconnect())
      const transaction = await other.transaction()
      await transaction.send({ topic: `${namespace}.orders`, messages: [{ value: 'open' }] })
      await send(adapter, orders, [wire(), wire(), wire()])
      const group = `${namespace}.orders.work`
      expect([(await read(adapter, orders)).backlog, await toolLag(group)]).toEqual([4, 4])
      await transaction.abort()
      await member.ack(...(await member.take(3)))
      await until(async () => (await read(adapter, orders)).backlog === 0, 'a backlog of 0')
    })

    test('kafka: what waits for its delay is no backlog until it is due', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(adapter, spec('orders'), [wire(), wire()])
      const member = await subscribe(adapter, spec('orders'))
      const [soon, late] = await member.take(2)
      const to = (delayMs: number) => ({ kind: 'group', channel: 'orders', group: 'work', delayMs }) as const
      await member.settle({ token: late?.token, kind: 'move', to: to(600_000), headers: [] })
      await member.settle({ token: soon?.token, kind: 'release' })
      await member.feed.close()
      expect(await read(adapter, spec('orders'))).toMatchObject({ backlog: 1, deadLetters: 0 })
      const again = await subscribe(adapter, spec('orders'))
      const [back] = await again.take(1)
      await again.settle({ token: back?.token, kind: 'move', to: to(1000), headers: [] })
      await again.feed.close()
      await until(async () => (await read(adapter, spec('orders'))).backlog === 1, 'what is due, and not what waits')
    })

    test('kafka: dead letters are counted without those that were taken off', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(
        adapter,
        spec('orders'),
        Array.from({ length: 7 }, () => wire()),
      )
      const member = await subscribe(adapter, spec('orders'))
      const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      await member.settle(
        ...(await member.take(7)).map(({ token }) => ({ token, kind: 'move', to, headers: [] }) as const),
      )
      expect((await read(adapter, spec('orders'))).deadLetters).toBe(7)
      const look = await adapter.browse?.open(spec('orders'), 'work', call)
      const letters = (await look?.next(10, call)) ?? []
      expect(letters).toHaveLength(7)
      await look?.remove([letters[3]?.position ?? ''], call)
      expect((await read(adapter, spec('orders'))).deadLetters).toBe(6)
      await look?.remove(
        letters.slice(0, 3).map(({ position }) => position),
        call,
      )
      await look?.close()
      expect((await read(adapter, spec('orders'))).deadLetters).toBe(3)
    })

    test('kafka: the oldest age is that of the oldest unread message, and grows', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(adapter, spec('orders'), wire())
      const first = (await read(adapter, spec('orders'))).oldestAgeMs ?? -1
      expect(first).toBeGreaterThanOrEqual(0)
      await until(
        async () => ((await read(adapter, spec('orders'))).oldestAgeMs ?? 0) >= first + 200,
        'the age to grow',
      )
      await send(adapter, spec('orders'), wire())
      expect((await read(adapter, spec('orders'))).oldestAgeMs).toBeGreaterThanOrEqual(first + 200)
    })

    test('kafka: a group that there is not is unknown, not empty', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const error = await adapter.stats?.read(spec('orders'), 'nobody', call).catch((each: unknown) => each)
      expect(PolybusError.is(error, 'UNKNOWN_GROUP')).toBe(true)
    })
  },
  { instance: INSTANCE },
)
