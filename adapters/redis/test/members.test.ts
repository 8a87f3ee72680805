// Several processes: what they share, and what a dead one leaves behind. A door that is shut is what Redis sees of a dead process.
import { describeBroker } from '@polybus/brokers'
import { type Delivery, sleep } from '@polybus/core'
import { type Door, faultProxy } from '@polybus/testkit'
import { expect, onTestFinished, test, vi } from 'vitest'
import { TIDY } from '../src/scripts/admin.ts'
import {
  bench,
  call,
  clock,
  create,
  ids,
  type Member,
  numbered,
  send,
  spec,
  subscribe,
  until,
  wire,
} from './support.ts'

vi.setConfig({ testTimeout: 45_000 })

await describeBroker(
  'redis',
  (broker) => {
    const proxied = async (): Promise<Awaited<ReturnType<typeof faultProxy>>> => {
      const proxy = await faultProxy(broker())
      onTestFinished(() => proxy.close())
      return proxy
    }

    test('redis: four members share eight lanes evenly, and two take over from two that die, in order, within ten seconds', async () => {
      const { connect } = bench(broker())
      const proxy = await proxied()
      const keyed = spec('orders', { keyed: true, partitions: 8 })
      const publisher = await connect()
      await create(publisher, keyed)
      const members: { readonly door: Door; readonly member: Member }[] = []
      for (let n = 0; n < 4; n++) {
        const door = proxy.door()
        // The lane's lease is the default one.
        const adapter = await connect({ url: `redis://127.0.0.1:${door.port}`, laneLeaseMs: undefined })
        members.push({ door, member: await subscribe(adapter, keyed) })
      }
      const lanes = (some: typeof members): string[][] =>
        some.map(({ member }) => [...(member.feed.state().lanes ?? [])])
      await until(() => lanes(members).every(({ length }) => length === 2), 'two lanes each', 15_000)
      expect(lanes(members).flat().toSorted()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])

      const all = numbered(400).map((one, n) => ({ ...one, key: `k${n % 40}` }))
      await send(publisher, 'orders', ...all)
      const [living, doomed] = [members.slice(0, 2), members.slice(2)]
      for (const { member } of doomed) await member.take(1000, 300)
      for (const { door } of doomed) door.shut()
      const start = clock.now()
      const runs: string[] = []
      while (runs.length < 400 && clock.now() < start + 15_000)
        for (const { member } of living) {
          const some = await member.take(100, 100)
          await member.ack(...some)
          runs.push(...some.map(({ message: { key, id } }) => `${key} ${id}`))
        }
      expect(clock.now() - start).toBeLessThan(10_000)
      expect(lanes(living).map(({ length }) => length)).toEqual([4, 4])
      // Each once, and those of a key in their order.
      const byKey = (list: readonly string[]): string[] =>
        list.toSorted((x, y) => (x.split(' ')[0] ?? '').localeCompare(y.split(' ')[0] ?? ''))
      expect(byKey(runs)).toEqual(byKey(all.map(({ key, id }) => `${key} ${id}`)))
    })

    test('redis: a declared group that never ran holds everything, and gets it', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ retentionMs: 0 })
      const both = spec('orders', { groups: ['work', 'later'] })
      await create(adapter, both)
      await send(adapter, 'orders', ...numbered(1000))
      const member = await subscribe(adapter, both)
      await member.ack(...(await member.take(1000)))
      const meta = `{${namespace}:orders}:meta`
      await until(() => client.hexists(meta, 'tidied:work:0'), 'tidying', 15_000)
      expect(await client.xlen(`${namespace}:orders`)).toBe(1000)
      expect(ids(await (await subscribe(adapter, both, { group: 'later' })).take(1000))).toEqual(
        numbered(1000).map(({ id }) => id),
      )
    })

    test('redis: consumers of dead processes are forgotten, some at a time, unless they hold something', async () => {
      const { connect, client, keys } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const { stream, retry, meta } = keys('orders')
      await send(adapter, 'orders', wire())
      await client.xreadgroup('GROUP', 'work', 'holder', 'COUNT', 1, 'STREAMS', stream(0), '>')
      for (let n = 0; n < 50; n++) await client.xgroup('CREATECONSUMER', stream(0), 'work', `dead-${n}`)
      const left = async (): Promise<number> =>
        ((await client.xinfo('CONSUMERS', stream(0), 'work')) as unknown[]).length
      // What each member runs every five seconds, with an age of 10 ms instead of five minutes.
      const tidy = (): Promise<unknown> =>
        client.eval(TIDY, 3, stream(0), retry('work', 0), meta, 'work', 'me', 'stamp', 0, 600_000, 100, 10, '1')
      await sleep(clock, 20)
      expect([await tidy(), await tidy(), await tidy(), await tidy()]).toEqual([20, 20, 10, 0])
      expect(await left(), 'the one that holds a message').toBe(1)
    })

    test('redis: 10,000 deliveries of a dead member come to another one, within the lease and seconds', async () => {
      const { connect } = bench(broker())
      const proxy = await proxied()
      const door = proxy.door()
      const doomed = await connect({ url: `redis://127.0.0.1:${door.port}`, leaseMs: 2000 })
      const adapter = await connect({ leaseMs: 60_000 })
      await create(adapter, spec('orders'))
      for (let n = 0; n < 10; n++)
        await send(adapter, 'orders', ...numbered(1000).map((one) => ({ ...one, id: `${n}-${one.id}` })))
      const room = { maxInFlight: 20_000 }
      const dead = await subscribe(doomed, spec('orders'), room)
      expect(await dead.take(10_000)).toHaveLength(10_000)
      door.shut()
      const start = clock.now()
      const heir = await subscribe(await connect({ leaseMs: 2000 }), spec('orders'), room)
      const got: Delivery[] = []
      while (got.length < 10_000 && clock.now() < start + 20_000) {
        const some = await heir.feed.receive(500, call)
        await heir.ack(...some)
        got.push(...some)
      }
      expect(new Set(ids(got)).size).toBe(10_000)
      expect(got).toHaveLength(10_000)
      expect(new Set(got.map(({ count }) => count))).toEqual(new Set([2]))
    })
  },
  { instance: 'redis-members' },
)
