// Moving a group within what the log keeps.
import { describeBroker } from '@polybus/brokers'
import { type ChannelSpec, PolybusError, type RewindTarget, sleep } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import type { KafkaAdapter } from '../src/index.ts'
import { bench, call, clock, committed, create, type Member, send, spec, subscribe, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 45_000 })

const orders: ChannelSpec = spec('orders', { keyed: true, partitions: 3 })
const rewind = async (adapter: KafkaAdapter, to: RewindTarget): Promise<unknown> =>
  adapter.rewind?.rewind(orders, 'work', to, call).catch((error: unknown) => error)
const messages = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => wire({ id: `m-${from + n}`, key: `k-${n}` }))
const drain = async (member: Member, count: number): Promise<string[]> => {
  const taken = await member.take(count)
  await member.ack(...taken)
  return taken.map(({ message }) => message.id ?? '')
}

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: a group that does not run is moved to the beginning, the end, a time and a position', async () => {
      const { connect, namespace, admin } = bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      await send(adapter, orders, messages(0, 30))
      // Times of the log are in milliseconds.
      await sleep(clock, 5)
      const middle = clock.wall()
      const later = await send(adapter, orders, messages(30, 30))
      const first = await subscribe(adapter, orders)
      expect(new Set(await drain(first, 60)).size).toBe(60)
      await first.feed.close()
      const backlog = async (): Promise<number | null | undefined> =>
        (await adapter.stats?.read(orders, 'work', call))?.backlog
      await until(async () => (await backlog()) === 0, 'all to be committed')
      expect(await rewind(adapter, { kind: 'beginning' })).toBeUndefined()
      expect(await backlog()).toBe(60)
      expect(await rewind(adapter, { kind: 'time', time: middle })).toBeUndefined()
      expect(await backlog()).toBe(30)
      const second = await subscribe(adapter, orders)
      const again = await drain(second, 30)
      expect(new Set(again)).toEqual(new Set(messages(30, 30).map(({ id }) => id)))
      await second.feed.close()
      const tool = await admin()
      const before = await committed(tool, `${namespace}.orders`, `${namespace}.orders.work`)
      const [, partition = '', offset = ''] = later[5]?.split('/') ?? []
      expect(await rewind(adapter, { kind: 'position', position: later[5] ?? '' })).toBeUndefined()
      const after = await committed(tool, `${namespace}.orders`, `${namespace}.orders.work`)
      expect(after).toEqual(before.map((each, index) => (index === Number(partition) ? Number(offset) : each)))
      expect(await rewind(adapter, { kind: 'end' })).toBeUndefined()
      expect(await backlog()).toBe(0)
      const third = await subscribe(adapter, orders)
      await send(adapter, orders, messages(60, 1))
      expect(await drain(third, 1)).toEqual(['m-60'])
    })

    test('kafka: a group that runs here alone is moved while it runs, and its deliveries are lost', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      await send(adapter, orders, messages(0, 20))
      const member = await subscribe(adapter, orders)
      await drain(member, 15)
      const held = await member.take(5)
      expect(await rewind(adapter, { kind: 'beginning' })).toBeUndefined()
      expect(member.lost).toEqual(expect.arrayContaining(held.map(({ token }) => token)))
      const [late] = await member.settle({ token: held[0]?.token, kind: 'ack' })
      expect(late && !late.ok && late.error.code).toBe('LEASE_LOST')
      expect(new Set(await drain(member, 20)).size).toBe(20)
    })

    test('kafka: a group that runs elsewhere is not moved, and the error says what to do', async () => {
      const { connect, namespace, admin } = bench(broker())
      const [here, there] = [await connect(), await connect()]
      await create(here, orders)
      await send(here, orders, messages(0, 9))
      const member = await subscribe(there, orders)
      await drain(member, 9)
      const tool = await admin()
      const position = (): ReturnType<typeof committed> =>
        committed(tool, `${namespace}.orders`, `${namespace}.orders.work`)
      await until(
        async () => (await position()).reduce<number>((sum, each) => sum + (each ?? 0), 0) === 9,
        'the commit',
      )
      const error = await rewind(here, { kind: 'beginning' })
      expect(PolybusError.is(error, 'UNSUPPORTED') && error.message).toMatch(/other processes.*Stop the group/)
      expect((await position()).reduce<number>((sum, each) => sum + (each ?? 0), 0)).toBe(9)
    })

    test('kafka: what is no place of the channel is refused', async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      await send(adapter, orders, wire())
      for (const position of ['x', 'elsewhere/0/0', `${namespace}.orders/9/0`, `${namespace}.orders/0/99`]) {
        const error = await rewind(adapter, { kind: 'position', position })
        expect(PolybusError.is(error, 'INVALID_OPTION') && error.message).toContain(position)
      }
    })
  },
  { instance: 'tests' },
)
