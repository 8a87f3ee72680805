// Sessions and rebalances: who runs what, and who commits what.
import { describeBroker } from '@polybus/brokers'
import { channel, type Clock, consumer, createBus, type Delivery, PolybusError, sleep, trust } from '@polybus/core'
import { type FaultProxy, faultProxy, numbered } from '@polybus/testkit'
import type { Admin } from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { KafkaAdapter, KafkaOptions } from '../src/index.ts'
import { via } from './library.ts'
import { bench, call, clock, committed, create, type Member, send, SESSION_MS, spec, subscribe, until, wire } from './support.ts' // prettier-ignore

vi.setConfig({ testTimeout: 60_000 })

const acks = (deliveries: readonly Delivery[]) => deliveries.map(({ token }) => ({ token, kind: 'ack' as const }))
async function makeAnew(tool: Admin, topic: string): Promise<void> {
  await tool.deleteTopics({ topics: [topic] })
  await until(async () => !(await tool.listTopics()).includes(topic), 'the topic to be gone')
  await tool.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true })
}
const lanesOf = (...members: readonly Member[]): string[][] =>
  members.map(({ feed }) => [...(feed.state().lanes ?? [])])

await describeBroker(
  'kafka',
  (broker) => {
    const behind = async (): Promise<{ proxy: FaultProxy; through: Partial<KafkaOptions> }> => {
      const proxy = await faultProxy(broker())
      onTestFinished(() => proxy.close())
      const { host, port } = proxy
      const brokers = [`${host}:${port}`]
      return {
        proxy,
        through: { client: via({ brokers, to: { host, port } }) },
      }
    }
    /** Counts what rebalances ask of core. */
    const watched = (adapter: KafkaAdapter, revokes: unknown[]): KafkaAdapter =>
      Object.create(adapter, {
        subscribe: {
          value: (...[source, by]: Parameters<KafkaAdapter['subscribe']>) =>
            adapter.subscribe(
              {
                ...source,
                onRevoke: (tokens) => {
                  revokes.push(tokens)
                  return source.onRevoke(tokens)
                },
                onLost: (tokens) => {
                  revokes.push(tokens)
                  source.onLost(tokens)
                },
              },
              by,
            ),
        },
      }) as KafkaAdapter

    test('kafka: a feed that is closed while a commit is on its way commits no more', async () => {
      const COMMIT_MS = 37
      let meanwhile: { settle(): void; close(): void } | undefined
      let commits = 0
      const watching: Clock = {
        ...clock,
        timer: (delayMs, run) =>
          clock.timer(delayMs, () => {
            const now = delayMs === COMMIT_MS ? meanwhile : undefined
            if (delayMs === COMMIT_MS) commits++
            now?.settle()
            run()
            now?.close()
          }),
      }
      const adapter = await bench(broker()).connect({ clock: watching, commitMs: COMMIT_MS })
      const orders = spec('orders', { partitions: 1, groups: ['work'] })
      await create(adapter, orders)
      await send(adapter, orders, wire())
      const { feed, take } = await subscribe(adapter, orders)
      const taken = await take(1)
      await new Promise((resolve, reject) => {
        meanwhile = {
          settle: () => void feed.settle(acks(taken), call).catch(reject),
          close: () => void feed.close().then(resolve, reject),
        }
      })
      const before = commits
      await sleep(clock, 10 * COMMIT_MS)
      expect(commits).toBe(before)
    })

    test('kafka: a topic that is deleted and made anew is read from its beginning, though the former position lies within it', async () => {
      const { connect, admin, namespace } = bench(broker())
      const adapter = await connect({ commitMs: 60_000 })
      const orders = spec('orders', { partitions: 1, groups: ['work'] })
      await create(adapter, orders)
      await send(adapter, orders, numbered(20))
      const before = await subscribe(adapter, orders)
      const taken = await before.take(20)
      const tool = await admin()
      const topic = `${namespace}.orders`
      await makeAnew(tool, topic)
      await send(adapter, orders, numbered(30))
      // Its commit arrives late: at a topic of the same name.
      await before.ack(...taken)
      await before.feed.close()
      expect(await committed(tool, topic, `${topic}.work`)).toEqual([20])

      const after = await subscribe(adapter, orders)
      expect((await after.take(30)).map(({ message }) => message.id)).toEqual(numbered(30).map(({ id }) => id))
    })

    test('kafka: positions of transactions say of which topic they are, too', async () => {
      const { connect, admin, namespace } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { partitions: 1, groups: ['work'] })
      await create(adapter, orders)
      await send(adapter, orders, numbered(1))
      const member = await subscribe(adapter, orders, { transactional: true })
      await member.ack(...(await member.take(1)))
      const tool = await admin()
      const topic = `${namespace}.orders`
      const position = async () => {
        const [found] = await tool.fetchOffsets({ groupId: `${topic}.work`, topics: [topic] })
        return found?.partitions[0]
      }
      await until(async () => (await position())?.offset === '1', 'the commit')
      expect((await position())?.metadata).toMatch(/^T[\w-]{22}$/)
    })

    test('kafka: who reads a topic that is made anew meanwhile breaks, and begins at its beginning', async () => {
      const { connect, admin, namespace } = bench(broker())
      // Who is not held up sees the topic missing, if the broker takes its time, and breaks of that.
      const { proxy, through } = await behind()
      const adapter = await connect()
      const orders = spec('orders', { partitions: 1, groups: ['work'] })
      await create(adapter, orders)
      await send(adapter, orders, numbered(20))
      const before = await subscribe(await connect(through), orders)
      await before.ack(...(await before.take(20)))
      const tool = await admin()
      const topic = `${namespace}.orders`
      await until(async () => (await committed(tool, topic, `${topic}.work`))[0] === 20, 'the commit')
      proxy.pause()
      await makeAnew(tool, topic)
      await send(adapter, orders, numbered(5))
      proxy.resume()
      await expect(before.take(1, 20_000)).rejects.toMatchObject({ code: 'FEED_BROKEN', retryable: true })
      await before.feed.close()
      const after = await subscribe(adapter, orders)
      expect((await after.take(5)).map(({ message }) => message.id)).toEqual(numbered(5).map(({ id }) => id))
    })

    test('kafka: a handler that takes four sessions runs once, and nothing is rebalanced', async () => {
      const { open, namespace } = bench(broker())
      const revokes: unknown[] = []
      const bus = await createBus(watched(open(), revokes), { namespace, logger: false })
      onTestFinished(() => bus.close())
      const orders = channel('orders', { schema: trust<string>() })
      const runs: string[] = []
      await bus.start(
        consumer(orders, 'work', {
          async handler(order) {
            runs.push(order)
            if (order === 'slow') await sleep(clock, 4 * SESSION_MS)
          },
        }),
      )
      await bus.publish(orders, 'slow')
      await until(() => runs.includes('slow'), 'the slow one to begin')
      const start = clock.now()
      while (clock.now() - start < 4 * SESSION_MS + 500) {
        await bus.publish(orders, 'quick')
        await sleep(clock, 200)
      }
      expect(runs.filter((order) => order === 'slow')).toEqual(['slow'])
      expect(revokes).toEqual([])
      expect(bus.health().status).toBe('up')
    })

    test('kafka: with 1,000 unread and two joiners the group is stable within 15 s, and nothing runs twice', async () => {
      const { open, namespace, connect } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), key: ({ n }) => `k${n % 50}`, partitions: 8 })
      const runs: number[] = []
      const members: Member['feed'][] = []
      const join = async (): Promise<void> => {
        const adapter = open()
        const bus = await createBus(
          Object.create(adapter, {
            subscribe: {
              value: async (...args: Parameters<KafkaAdapter['subscribe']>) => {
                const feed = await adapter.subscribe(...args)
                members.push(feed)
                return feed
              },
            },
          }) as KafkaAdapter,
          { namespace, logger: false },
        )
        onTestFinished(() => bus.close())
        await bus.start(
          consumer(orders, 'work', {
            async handler({ n }) {
              await sleep(clock, 100)
              runs.push(n)
            },
          }),
        )
      }
      const keyed = spec('orders', { keyed: true, partitions: 8 })
      const publisher = await connect()
      await create(publisher, keyed)
      await send(
        publisher,
        keyed,
        Array.from({ length: 1000 }, (_, n) =>
          wire({ id: `m${n}`, key: `k${n % 50}`, body: Buffer.from(JSON.stringify({ n })) }),
        ),
      )
      await join()
      await until(() => runs.length > 10, 'the first one to work')
      const start = clock.now()
      await Promise.all([join(), join()])
      const shares = (): number[] => members.map((feed) => feed.state().lanes?.length ?? 0).toSorted((a, b) => a - b)
      await until(() => String(shares()) === '2,3,3', 'eight lanes among three', 15_000)
      expect(clock.now() - start).toBeLessThan(15_000)
      const lanes = JSON.stringify(members.map((feed) => feed.state().lanes))
      await until(() => new Set(runs).size === 1000, 'all to run', 40_000)
      expect(JSON.stringify(members.map((feed) => feed.state().lanes))).toBe(lanes)
      expect(runs).toHaveLength(1000)
    })

    test('kafka: settling and committing what moved to another member is refused, and its position stays', async () => {
      const { connect, admin, namespace } = bench(broker())
      const keyed = spec('orders', { keyed: true, partitions: 8 })
      const first = await connect()
      await create(first, keyed)
      await send(first, keyed, Array.from({ length: 80 }, (_, n) => wire({ key: `k${n}` }))) // prettier-ignore
      const one = await subscribe(first, keyed)
      const held = await one.take(80)
      expect(held).toHaveLength(80)
      const two = await subscribe(await connect(), keyed)
      await until(() => lanesOf(one, two).every(({ length }) => length === 4), 'four lanes each')
      const [kept = [], moved = []] = lanesOf(one, two)
      await until(() => one.lost.length > 0, 'the loss to be told')
      const results = await one.settle(...acks(held))
      for (const [index, result] of results.entries()) {
        const { lane } = held[index] as Delivery
        expect(result.ok, `lane ${lane}`).toBe(kept.includes(lane))
        if (!result.ok) expect(result.error.code).toBe('LEASE_LOST')
      }
      const positions = async () => committed(await admin(), `${namespace}.orders`, `${namespace}.orders.work`)
      const ends = kept.map((lane) => held.filter((delivery) => delivery.lane === lane).length)
      await until(async () => {
        const now = await positions()
        return kept.every((lane, index) => now[Number(lane)] === ends[index])
      }, 'what was kept to be committed')
      for (const lane of moved) expect((await positions())[Number(lane)] ?? 0, `lane ${lane}`).toBe(0)
      // The other one has them.
      expect((await two.take(80, 2000)).map(({ lane }) => lane).every((lane) => moved.includes(lane))).toBe(true)
    })

    test('kafka: who comes back after its session is over has lost all, and what others committed stays', async () => {
      const { connect, admin, namespace } = bench(broker())
      const orders = spec('orders', { keyed: true, partitions: 2 })
      const { proxy, through } = await behind()
      const sleeper = await connect(through)
      await create(sleeper, orders)
      await send(sleeper, orders, Array.from({ length: 20 }, (_, n) => wire({ key: `k${n}` }))) // prettier-ignore
      const one = await subscribe(sleeper, orders)
      const held = await one.take(20)
      expect(held).toHaveLength(20)
      proxy.pause()
      const other = await connect()
      const two = await subscribe(other, orders)
      const theirs = await two.take(20, 10_000)
      expect(theirs).toHaveLength(20)
      await two.ack(...theirs)
      proxy.resume()
      await until(() => one.lost.length === 20, 'all 20 to be lost') // prettier-ignore
      const results = await one.settle(...acks(held))
      expect(results.map((result) => !result.ok && result.error.code)).toEqual(held.map(() => 'LEASE_LOST'))
      const sum = async () =>
        (await committed(await admin(), `${namespace}.orders`, `${namespace}.orders.work`)).reduce(
          (total: number, each) => total + (each ?? 0),
          0,
        )
      await until(async () => (await sum()) === 20, 'the position of the other')
    })

    test('kafka: a graceful stop with the first one unfinished leaves that one alone to the next member', async () => {
      const { connect } = bench(broker())
      const orders = spec('orders', { partitions: 1 })
      const adapter = await connect()
      await create(adapter, orders)
      await send(adapter, orders, Array.from({ length: 500 }, (_, n) => wire({ id: `m${n}` }))) // prettier-ignore
      const one = await subscribe(adapter, orders, { maxInFlight: 1000 })
      const held = await one.take(500)
      const first = held.find(({ message }) => message.id === 'm0')
      await one.ack(...held.filter((delivery) => delivery !== first))
      await one.feed.close()
      const two = await subscribe(adapter, orders, { maxInFlight: 1000 })
      const again = await two.take(500, 2000)
      expect(again.map(({ message }) => message.id)).toEqual(['m0'])
    })

    test('kafka: a start waits for a member that is busy, longer than it waits for the broker', async () => {
      const { open, namespace } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'], partitions: 2 })
      const first = await createBus(open(), { namespace, logger: false })
      let free: () => void = () => {}
      const busy = new Promise<void>((resolve) => (free = resolve))
      let running = 0
      await first.subscribe(orders, 'work', () => (running++, busy))
      await first.publish(orders, { n: 1 })
      await until(() => running === 1, 'the handler to run')
      const second = await createBus(open(), { namespace, logger: false, connectTimeout: '3s' })
      let started = false
      const start = second.subscribe(orders, 'work', () => {}).then(() => (started = true))
      await sleep(clock, 5000)
      expect(started).toBe(false)
      free()
      await start
      expect(running).toBe(1)
      await Promise.all([first.close(), second.close()])
    })

    test('kafka: no more than 10,000 may be uncommitted of a partition', async () => {
      const { connect } = bench(broker())
      const orders = spec('orders', { partitions: 1 })
      const adapter = await connect()
      await create(adapter, orders)
      for (let round = 0; round < 11; round++)
        await send(adapter, orders, Array.from({ length: 1000 }, (_, n) => wire({ id: `m${round * 1000 + n}` }))) // prettier-ignore
      const member = await subscribe(adapter, orders, { maxInFlight: 20_000 })
      const [first, ...others] = await member.take(10_001, 3000)
      expect(others).toHaveLength(9999)
      await member.ack(...others)
      expect(await member.take(1, 1000)).toEqual([])
      await member.ack(first as Delivery)
      expect(await member.take(1000)).toHaveLength(1000)
    })

    test('kafka: a position that is no longer there is an error, unless somebody says what to do', async () => {
      const { connect, admin, namespace } = bench(broker())
      const orders = spec('orders', { partitions: 1 })
      const adapter = await connect()
      await create(adapter, orders)
      await send(adapter, orders, Array.from({ length: 20 }, (_, n) => wire({ id: `m${n}` }))) // prettier-ignore
      const member = await subscribe(adapter, orders)
      await member.ack(...(await member.take(5)).slice(0, 5))
      await member.feed.close()
      const topic = `${namespace}.orders`
      const client = await admin()
      // kafkajs deletes only of topics that it has looked at.
      await client.fetchTopicOffsets(topic)
      await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '12' }] })
      const start = clock.now()
      const error: unknown = await subscribe(adapter, orders).catch((thrown: unknown) => thrown)
      expect(clock.now() - start).toBeLessThan(10_000)
      expect(PolybusError.is(error, 'FEED_BROKEN') && !error.retryable, String(error)).toBe(true)
      expect(String(error)).toContain('offsetOutOfRange')
      const skipping = await subscribe(await connect({ offsetOutOfRange: 'beginning' }), orders)
      expect((await skipping.take(20, 2000))[0]?.message.id).toBe('m12')
    })
  },
  { instance: 'kafka-members' },
)
