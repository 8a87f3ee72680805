// Who gets what, and when, where Redis has its own way.
import { describeBroker } from '@polybus/brokers'
import type { Delivery } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { bench, call, clock, create, ids, numbered, send, spec, subscribe, until, wire } from './support.ts'

// Tidying comes every five seconds.
vi.setConfig({ testTimeout: 45_000 })

await describeBroker(
  'redis',
  (broker) => {
    test('redis: what the same process takes back after its own reconnect is not counted', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(adapter, 'orders', wire())
      for (let round = 0; round < 3; round++) {
        const [delivery] = await (await subscribe(adapter, spec('orders'))).take(1, 900)
        expect(delivery?.count, `round ${round}, long before the lease is over`).toBe(1)
        await client.call('CLIENT', 'KILL', 'TYPE', 'normal')
        await until(() => adapter.client?.status === 'end', 'the connection to be lost')
        await adapter.connect({ ...call, namespace, service: 'test', topology: 'create' })
      }
    })

    test('redis: what the same process held comes back at once, however often its connection was cut meanwhile', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ leaseMs: 60_000 })
      await create(adapter, spec('orders'))
      await send(adapter, 'orders', ...numbered(50))
      expect(await (await subscribe(adapter, spec('orders'))).take(50)).toHaveLength(50)
      // Each new name takes one over; the rest is still the first one's.
      for (let round = 0; round < 20; round++) {
        await client.call('CLIENT', 'KILL', 'TYPE', 'normal')
        await until(() => adapter.client?.status === 'end', 'the connection to be lost')
        await adapter.connect({ ...call, namespace, service: 'test', topology: 'create' })
        const member = await subscribe(adapter, spec('orders'), { maxInFlight: 1 })
        expect(await member.take(1)).toHaveLength(1)
      }
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal')
      await until(() => adapter.client?.status === 'end', 'the connection to be lost')
      await adapter.connect({ ...call, namespace, service: 'test', topology: 'create' })
      expect(ids(await (await subscribe(adapter, spec('orders'))).take(50)).length).toBe(50)
    })

    test('redis: lanes come back at once after a reconnect of the same process', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ laneLeaseMs: 60_000 })
      const keyed = spec('orders', { keyed: true, partitions: 4 })
      await create(adapter, keyed)
      await send(adapter, 'orders', ...numbered(20).map((one, n) => ({ ...one, key: `k${n}` })))
      expect(await (await subscribe(adapter, keyed)).take(20)).toHaveLength(20)
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal')
      await until(() => adapter.client?.status === 'end', 'the connection to be lost')
      await adapter.connect({ ...call, namespace, service: 'test', topology: 'create' })
      const again = await (await subscribe(adapter, keyed)).take(20)
      expect(again).toHaveLength(20)
      expect(new Set(again.map(({ count }) => count))).toEqual(new Set([1]))
    })

    test('redis: an entry that is handed out again while it is held takes the place of the one before', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ leaseMs: 60_000 })
      await create(adapter, spec('orders'))
      await send(adapter, 'orders', ...numbered(3))
      const member = await subscribe(adapter, spec('orders'))
      const first = await member.take(3)
      expect(first).toHaveLength(3)
      // By hand, so that nobody is told; Redis counts it as handed out once.
      await client.call('XGROUP', 'SETID', `${namespace}:orders`, 'work', '0')
      await send(adapter, 'orders', wire())
      const second = await member.take(4)
      expect(second.map(({ position }) => position).slice(0, 3)).toEqual(first.map(({ position }) => position))
      expect(new Set(second.map(({ count }) => count))).toEqual(new Set([1]))
      expect(member.lost).toEqual(first.map(({ token }) => token))
    })

    test('redis: the longest lease of a group counts when deliveries are taken over', async () => {
      const { connect } = bench(broker())
      const [patient, hasty] = [await connect({ leaseMs: 3000 }), await connect({ leaseMs: 300 })]
      await create(patient, spec('orders'))
      await send(patient, 'orders', wire())
      const early = await subscribe(hasty, spec('orders'))
      const holder = await subscribe(patient, spec('orders'))
      // One of the two has it; where it is the hasty one it comes to the other after its own lease.
      const [held] = await holder.take(1, 4500)
      if (!held) return
      expect(await early.take(1, 1500)).toEqual([])
      await holder.ack(held)
    })

    test('redis: a member that is asked for a lane finishes before it gives it', async () => {
      const { connect } = bench(broker())
      const [one, two] = [await connect(), await connect()]
      const keyed = spec('orders', { keyed: true, partitions: 2 })
      await create(one, keyed)
      await send(one, 'orders', ...numbered(10).map((each, n) => ({ ...each, key: `k${n}` })))
      const asked: unknown[] = []
      let finish: () => void = () => {}
      const first = await subscribe(one, keyed, {
        onRevoke(tokens) {
          asked.push(...tokens)
          return new Promise((resolve) => (finish = resolve))
        },
      })
      const held = await first.take(10)
      const second = await subscribe(two, keyed)
      await until(() => asked.length > 0, 'the lane to be asked for')
      expect(await second.take(1, 2500), 'nothing while it is held').toEqual([])
      expect(first.lost).toEqual([])
      await first.ack(...held)
      finish()
      await until(() => second.feed.state().lanes?.length === 1, 'the lane to move')
      expect(first.feed.state().lanes).toHaveLength(1)
      expect(await second.take(1, 300), 'all was done').toEqual([])
    })

    test('redis: delays of 5,000 messages are kept by the server, each delivered once', async () => {
      const { connect } = bench(broker())
      // Nobody renews here: on a busy machine a short lease is over before all have come.
      const adapter = await connect({ leaseMs: 30_000 })
      await create(adapter, spec('orders'))
      const to = { kind: 'group', channel: 'orders', group: 'work', delayMs: 1500 } as const
      const start = clock.now()
      for (let batch = 0; batch < 5; batch++)
        await adapter.send(
          numbered(1000).map((message) => ({ handover: 0, message: { ...message, id: `${batch}-${message.id}` }, to })),
          call,
        )
      const room = { maxInFlight: 5000 }
      const members = [await subscribe(adapter, spec('orders'), room), await subscribe(adapter, spec('orders'), room)]
      const all: Delivery[] = []
      while (all.length < 5000 && clock.now() < start + 20_000)
        for (const member of members) all.push(...(await member.take(200, 100)))
      expect(all).toHaveLength(5000)
      expect(new Set(ids(all)).size).toBe(5000)
      expect(clock.now() - start).toBeGreaterThanOrEqual(1500)
    })

    test.each([
      ['beginning', { kind: 'beginning' }, ['m-0', 'm-1', 'm-2']],
      ['end', { kind: 'end' }, []],
    ] as const)('redis: a group is moved to the %s, and what it held is lost to it', async (_, target, expected) => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(adapter, 'orders', ...numbered(3))
      const member = await subscribe(adapter, spec('orders'))
      const held = await member.take(3)
      await adapter.rewind?.rewind(spec('orders'), 'work', target, call)
      expect(ids(await member.take(3, expected.length > 0 ? 5000 : 1200))).toEqual(expected)
      expect(new Set(member.lost)).toEqual(new Set(held.map(({ token }) => token)))
    })

    test('redis: a group is moved to a position or a time', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const positions = await send(adapter, 'orders', ...numbered(3))
      await adapter.rewind?.rewind(spec('orders'), 'work', { kind: 'position', position: positions[1] ?? '' }, call)
      const member = await subscribe(adapter, spec('orders'))
      expect(ids(await member.take(2))).toEqual(['m-1', 'm-2'])
      const time = Number(/\/(\d+)-/.exec(positions[0] ?? '')?.[1])
      await adapter.rewind?.rewind(spec('orders'), 'work', { kind: 'time', time }, call)
      expect(ids(await member.take(3))).toEqual(['m-0', 'm-1', 'm-2'])
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ backlog: 0, inFlight: 3 })
    })

    test('redis: streams are trimmed behind what all groups have finished, and never before', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ retentionMs: 0 })
      const both = spec('orders', { groups: ['work', 'slow'] })
      await create(adapter, both)
      const positions = await send(adapter, 'orders', ...numbered(1000))
      const stream = `${namespace}:orders`
      const fast = await subscribe(adapter, both)
      const slow = await subscribe(adapter, both, { group: 'slow' })
      await fast.ack(...(await fast.take(1000)))
      // The first of the slow group stays unfinished, all others are done.
      const [first, ...others] = await slow.take(1000)
      await slow.ack(...others)
      const meta = `{${stream}}:meta`
      const tidied = async (): Promise<number> => Number((await client.hget(meta, 'tidied:slow:0')) ?? 0)
      const seen = await tidied()
      const renew = async (): Promise<boolean> => {
        await slow.feed.extend?.([first?.token], call)
        return (await tidied()) > seen
      }
      await until(renew, 'tidying', 15_000)
      expect(await client.xlen(stream)).toBe(1000)
      if (first) await slow.ack(first)
      await until(async () => (await client.xlen(stream)) < 200, 'trimming', 15_000)
      expect((await client.xrange(stream, '-', '+')).at(-1)?.[0]).toBe(positions.at(-1)?.slice(2))
      expect(await adapter.stats?.read(both, 'work', call)).toMatchObject({ backlog: 0, inFlight: 0 })
      await send(adapter, 'orders', wire())
      expect(await adapter.stats?.read(both, 'work', call)).toMatchObject({ backlog: 1, inFlight: 0 })
    })

    test('redis: nothing is trimmed while a group that the channel knows is missing', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ retentionMs: 0 })
      const both = spec('orders', { groups: ['work', 'idle'] })
      await create(adapter, both)
      await client.xgroup('DESTROY', `${namespace}:orders`, 'idle')
      await send(adapter, 'orders', ...numbered(1000))
      const member = await subscribe(adapter, both)
      await member.ack(...(await member.take(1000)))
      await until(
        async () => (await client.hexists(`{${namespace}:orders}:meta`, 'tidied:work:0')) === 1,
        'tidying',
        15_000,
      )
      expect(await client.xlen(`${namespace}:orders`)).toBe(1000)
      expect(await (await subscribe(adapter, both, { group: 'idle' })).take(1000)).toHaveLength(1000)
    })
  },
  { instance: 'redis-delivery' },
)
