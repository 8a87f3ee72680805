// Sizes, names and numbers at their ends.
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, type Settlement, trust, type WireMessage } from '@polybus/core'
import { faultProxy } from '@polybus/testkit'
import { expect, onTestFinished, test, vi } from 'vitest'
import { bench, call, clock, create, ids, numbered, send, spec, subscribe, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 45_000 })

const plain = (one: WireMessage | undefined): unknown =>
  one && { ...one, body: one.body && Buffer.from(one.body).toString('base64') }
const retry = { kind: 'group', channel: 'orders', group: 'work' } as const
const MESSAGES: readonly [what: string, message: WireMessage][] = [
  ['5 MB', wire({ body: Buffer.alloc(5 * 2 ** 20, 'x') })],
  ['5 MB that are no text', wire({ body: Buffer.alloc(5 * 2 ** 20, 0xff) })],
  ['an empty body', wire({ body: Buffer.alloc(0) })],
  ['a tombstone', wire({ body: null })],
  ['all 256 bytes', wire({ body: Buffer.from(Array.from({ length: 256 }, (_, n) => n)) })],
  [
    'headers named as our fields',
    wire({
      headers: [
        ['data', 'x'],
        ['ce_id', 'y'],
        ['ce_specversion', '2'],
        ['content-type', 'z'],
        ['ce_partitionkey', 'k'],
      ],
    }),
  ],
  [
    'such headers and no body',
    wire({
      body: null,
      headers: [
        ['data', 'x'],
        ['ce_id', 'y'],
      ],
    }),
  ],
  ['a key with zeros, line breaks and emoji', wire({ key: 'a\0b\r\n*3\r\n🦊' })],
  ['an empty key', wire({ key: '' })],
  ['1,000 headers', wire({ headers: Array.from({ length: 1000 }, (_, n) => [`h${n}`, String(n)] as const) })],
  [
    'headers of bytes, empty and repeated',
    wire({
      headers: [
        ['a', Buffer.from([0, 255])],
        ['a', ''],
        ['a', 'x'],
      ],
    }),
  ],
]

await describeBroker(
  'redis',
  (broker) => {
    test.each(MESSAGES)(
      'redis: %s goes to a consumer, a delay, a retry and the dead letters unchanged',
      async (_, message) => {
        const { connect } = bench(broker())
        const adapter = await connect({ leaseMs: 20_000 })
        const keyed = spec('orders', { keyed: true, partitions: 2, maxBytes: 8 * 2 ** 20 })
        await create(adapter, keyed)
        await send(adapter, 'orders', message)
        const member = await subscribe(adapter, keyed)
        const move = async (to: (Settlement & { kind: 'move' })['to']): Promise<void> => {
          const [delivery] = await member.take(1)
          expect(plain(delivery?.message)).toEqual(plain(message))
          expect(await member.settle({ token: delivery?.token, kind: 'move', to, headers: [] })).toEqual([
            { ok: true, value: undefined },
          ])
        }
        await move({ ...retry, delayMs: 50 })
        await move({ ...retry, delayMs: 0 })
        await move({ kind: 'dead-letter', channel: 'orders', group: 'work' })
        const [letter] = (await (await adapter.browse?.open(keyed, 'work', call))?.next(5, call)) ?? []
        expect(plain(letter?.message)).toEqual(plain(message))
      },
    )

    test('redis: 200 channels are consumed at once by one bus, over two connections', async () => {
      const { open, namespace } = bench(broker())
      const proxy = await faultProxy(broker())
      onTestFinished(() => proxy.close())
      const bus = await createBus(open({ url: `redis://127.0.0.1:${proxy.port}` }), { namespace, logger: false })
      onTestFinished(() => bus.close().catch(() => undefined))
      const channels = Array.from({ length: 200 }, (_, n) =>
        channel(`c-${n}`, {
          schema: trust<{ n: number }>(),
          groups: ['work'],
          ...(n % 2 === 0 && { key: () => 'k', partitions: 1 }),
        }),
      )
      const seen = new Map<string, number>()
      await bus.start(
        ...channels.map((one) => consumer(one, 'work', () => void seen.set(one.name, (seen.get(one.name) ?? 0) + 1))),
      )
      const start = clock.now()
      for (let n = 0; n < 5; n++) await Promise.all(channels.map((one) => bus.publish(one, { n })))
      await until(() => seen.size === 200 && [...seen.values()].every((count) => count === 5), 'five messages of each')
      expect(clock.now() - start, 'nobody waits for somebody else: that took a second a channel').toBeLessThan(30_000)
      expect(proxy.connections).toBe(2)
    })

    test('redis: what comes one by one is delivered at once, beside 100 channels that wait', async () => {
      const { connect } = bench(broker())
      const [adapter, publisher] = [await connect(), await connect()]
      const stop = new AbortController()
      const waiting: Promise<unknown>[] = []
      for (let n = 0; n < 100; n++) {
        const other = spec(`c-${n}`)
        await create(adapter, other)
        const { feed } = await subscribe(adapter, other)
        waiting.push(
          (async () => {
            while (!stop.signal.aborted) await feed.receive(1, stop)
          })(),
        )
      }
      await create(adapter, spec('orders'))
      const member = await subscribe(adapter, spec('orders'))
      const late: number[] = []
      for (let n = 0; n < 50; n++) {
        const next = member.take(1, 3000)
        await new Promise((resolve) => clock.timer(n % 20, () => resolve(undefined)))
        const sent = clock.now()
        await send(publisher, 'orders', wire())
        await member.ack(...(await next))
        late.push(clock.now() - sent)
      }
      stop.abort()
      await Promise.all(waiting)
      // A read that waits out its time takes a second.
      expect(late.toSorted((a, b) => a - b)[40], show(late)).toBeLessThan(500)
    })

    test('redis: large messages behind small ones do not come all at once', async () => {
      const { connect } = bench(broker())
      const adapter = await connect({ leaseMs: 20_000 })
      const orders = spec('orders', { maxBytes: 100_000 })
      await create(adapter, orders)
      await send(adapter, 'orders', ...numbered(50), ...numbered(50, { body: Buffer.alloc(90_000) }))
      const member = await subscribe(adapter, orders, { maxBytes: 250_000 })
      for (let taken = 0; taken < 50;) {
        const some = await member.feed.receive(50 - taken, call)
        await member.ack(...some)
        taken += some.length
      }
      expect((await member.feed.receive(500, call)).length).toBeLessThanOrEqual(10)
    })

    test('redis: two adapters in one process are two members', async () => {
      const { connect } = bench(broker())
      const [one, two] = [await connect(), await connect()]
      await create(one, spec('orders'))
      const [first, second] = [await subscribe(one, spec('orders')), await subscribe(two, spec('orders'))]
      await send(one, 'orders', ...numbered(10))
      const [mine, yours] = [await first.take(5), await second.take(5)]
      expect(new Set(ids([...mine, ...yours]))).toEqual(new Set(numbered(10).map(({ id }) => id)))
      await one.close()
      await second.ack(...yours)
      expect(new Set(ids(await second.take(5))), 'what the closed one held').toEqual(new Set(ids(mine)))
    })
  },
  { instance: 'redis-extremes' },
)

const show = (late: readonly number[]): string => late.map((ms) => ms.toFixed(0)).join(' ')
