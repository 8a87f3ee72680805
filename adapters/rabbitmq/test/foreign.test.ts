// Programs that know nothing of Polybus, on both sides: their exchanges and queues are used as they are.
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, fixed, PolybusError, trust } from '@polybus/core'
import { type ChannelModel, connect } from 'amqplib'
import { expect, test, vi } from 'vitest'
import type { RabbitmqChannelOptions } from '../src/index.ts'
import { bench, call, create, send, spec, subscribe, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 30_000 })

await describeBroker(
  'rabbitmq',
  (broker) => {
    test('rabbitmq: what a plain publisher writes is consumed; its message-id counts only where it is trusted', async () => {
      const { open, namespace, client } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
      for (const trustMessageId of [false, true]) {
        const bus = await createBus(open({ channels: { orders: { trustMessageId } } }), { namespace, logger: false })
        const ids: string[] = []
        await bus.start(consumer(orders, 'work', (_, { message }) => void ids.push(message.id)))
        const plain = await client()
        plain.publish(`${namespace}.orders`, 'any.key', Buffer.from('{"n":1}'), { messageId: 'f-1', headers: { n: 5 } })
        await until(() => ids.length === 1, 'the foreign message')
        expect(ids[0] === 'f-1').toBe(trustMessageId)
        await bus.close()
      }
    })

    test('rabbitmq: a plain client reads what we publish as plain body, headers and properties', async () => {
      const { connect, namespace, client } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(
        adapter,
        'orders',
        wire({ id: 'o-1', type: 'placed', body: Buffer.from('{"n":1}'), headers: [['trace', 'abc']] }),
      )
      const message = await (await client()).get(`${namespace}.orders.work`, { noAck: true })
      if (!message) throw new Error('nothing is there')
      expect(String(message.content)).toBe('{"n":1}')
      expect(message.fields.routingKey).toBe('placed')
      expect(message.properties).toMatchObject({
        messageId: 'o-1',
        type: 'placed',
        contentType: 'application/json',
        deliveryMode: 2,
        headers: { trace: 'abc' },
      })
    })

    const kinds: readonly {
      type: 'topic' | 'direct' | 'fanout' | 'headers'
      options: Omit<RabbitmqChannelOptions, 'exchange'>
      hit: { key: string; headers?: object }
      miss?: { key: string; headers?: object }
    }[] = [
      { type: 'topic', options: { routingKey: 'orders.#' }, hit: { key: 'orders.new.eu' }, miss: { key: 'other.new' } },
      {
        type: 'direct',
        options: { groups: { work: { bindings: ['red', 'blue'] } } },
        hit: { key: 'blue' },
        miss: { key: 'green' },
      },
      { type: 'fanout', options: {}, hit: { key: 'whatever' } },
      {
        type: 'headers',
        options: { groups: { work: { bindings: [{ arguments: { 'x-match': 'all', region: 'eu' } }] } } },
        hit: { key: '', headers: { region: 'eu' } },
        miss: { key: '', headers: { region: 'us' } },
      },
    ]
    test.each(kinds)('rabbitmq: an existing $type exchange is used as it is', async ({ type, options, hit, miss }) => {
      const { connect, namespace, client } = bench(broker())
      const name = `${namespace}-erp`
      const plain = await client()
      await plain.assertExchange(name, type, { durable: false })
      const adapter = await connect({ channels: { orders: { exchange: { name, type, declare: false }, ...options } } })
      await create(adapter, spec('orders'))
      const { take } = await subscribe(adapter, spec('orders'))
      if (miss) plain.publish(name, miss.key, Buffer.from('miss'), { headers: miss.headers })
      plain.publish(name, hit.key, Buffer.from('hit'), { headers: hit.headers })
      const taken = [...(await take(1)), ...(await take(1, 300))]
      expect(taken.map(({ message }) => String(message.body))).toEqual(['hit'])
      await plain.deleteExchange(name)
    })

    test('rabbitmq: an existing classic queue with priorities is used as it is, and a failing message comes back to it', async () => {
      const { connect, namespace, client } = bench(broker())
      const queue = `${namespace}-legacy`
      const plain = await client()
      await plain.assertQueue(queue, { durable: true, maxPriority: 5 })
      const adapter = await connect({
        channels: {
          orders: {
            groups: { work: { queue, declare: false, bindings: [], arguments: { 'x-queue-type': 'classic' } } },
          },
        },
      })
      await create(adapter, spec('orders'))
      for (const priority of [1, 5, 3]) plain.sendToQueue(queue, Buffer.from(String(priority)), { priority })
      await plain.waitForConfirms()
      const { feed, take } = await subscribe(adapter, spec('orders'), { maxInFlight: 1 })
      const order: string[] = []
      for (let n = 0; n < 3; n++) {
        const [delivery] = await take(1)
        order.push(String(delivery?.message.body))
        const to = { kind: 'group', channel: 'orders', group: 'work', delayMs: 1000 } as const
        const [done] = await feed.settle(
          n === 0
            ? [{ token: delivery?.token, kind: 'move', to, headers: [['polybus-attempt', '1']] }]
            : [{ token: delivery?.token, kind: 'ack' }],
          call,
        )
        expect(done?.ok).toBe(true)
      }
      expect(order).toEqual(['5', '3', '1'])
      const [again] = await take(1)
      expect(String(again?.message.body)).toBe('5')
      expect(await adapter.hazards?.(spec('orders'), call)).toMatchObject([{ kind: 'replication' }])
      await feed.close()
      await plain.deleteQueue(queue)
    })

    test('rabbitmq: connections that a function of the user opens are used, opened again after a loss, and closed at the end', async () => {
      const { open, namespace, url } = bench(broker())
      const made: ChannelModel[] = []
      const ended: ChannelModel[] = []
      const dial = async (name: string): Promise<ChannelModel> => {
        const model = await connect(url, { clientProperties: { connection_name: name } })
        model.on('close', () => ended.push(model))
        made.push(model)
        return model
      }
      const bus = await createBus(open({ url: undefined, client: dial }), { namespace, logger: false })
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
      const seen: number[] = []
      await bus.start(consumer(orders, 'work', ({ n }) => void seen.push(n)))
      await bus.publish(orders, { n: 1 })
      await until(() => seen.includes(1), 'the first')
      expect(made).toHaveLength(2)
      await made[0]?.close()
      await until(() => made.length >= 4, 'new connections')
      await bus.publish(orders, { n: 2 })
      await until(() => seen.includes(2), 'what was published afterwards')
      await bus.close()
      await until(() => ended.length === made.length, 'the end of all')
    })

    test('rabbitmq: a queue with other arguments is a readable conflict, and nothing else breaks', async () => {
      const { connect, open, namespace, client } = bench(broker())
      const plain = await client()
      await plain.assertQueue(`${namespace}.orders.work`, { durable: true, arguments: { 'x-max-length': 7 } })
      const adapter = await connect()
      const plan = await adapter.topology?.plan([spec('orders')], call)
      expect(plan?.conflicts).toMatchObject([{ kind: 'queue', name: `${namespace}.orders.work` }])
      expect(plan?.conflicts[0]?.text).toMatch(/the queue '.*\.orders\.work' has /)
      await create(adapter, spec('fine'))
      await send(adapter, 'fine', wire())
      const bus = await createBus(open(), { namespace, logger: false })
      const orders = channel('orders', { schema: trust<object>(), groups: ['work'] })
      const error = await bus.publish(orders, {}, { timeout: '5s' }).catch((thrown: unknown) => thrown)
      expect(PolybusError.is(error, 'TOPOLOGY_CONFLICT')).toBe(true)
      await bus.close()
    })

    test('rabbitmq: with verify and none nothing is created, and what is missing is said', async () => {
      const { connect, namespace, client } = bench(broker())
      const verifying = await connect({}, 'verify')
      expect((await verifying.topology?.plan([spec('orders')], call))?.changes.map(({ kind }) => kind)).toEqual([
        'create-channel',
        'create-group',
      ])
      await expect(subscribe(verifying, spec('orders'))).rejects.toMatchObject({
        code: 'TOPOLOGY_MISSING',
        retryable: false,
      })
      await expect((await client()).checkQueue(`${namespace}.orders.work`)).rejects.toMatchObject({ code: 404 })

      await create(await connect(), spec('orders'))
      expect((await verifying.topology?.plan([spec('orders')], call))?.changes).toEqual([])
      const none = await connect({}, 'none')
      none.capabilities(spec('orders'))
      await send(none, 'orders', wire({ id: 'o-1' }))
      expect((await (await subscribe(none, spec('orders'))).take(1))[0]?.message.id).toBe('o-1')
    })

    test('rabbitmq: where nothing may be created a queue that was deleted is told at once, each time, until it is back', async () => {
      const { open, namespace, client } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work', 'other'] })
      const maker = await createBus(open(), { namespace, logger: false })
      await maker.prepare(orders)
      await maker.close()
      const bus = await createBus(open(), { namespace, logger: false, topology: 'verify' })
      await bus.publish(orders, { n: 0 })
      const plain = await client()
      const queue = `${namespace}.orders.work`
      await plain.deleteQueue(queue)
      for (const n of [1, 2]) {
        const error = await bus.publish(orders, { n }, { timeout: '20s' }).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'TOPOLOGY_MISSING', message: expect.stringContaining(queue) as string })
      }
      // The other group has not got what this one misses.
      expect((await plain.checkQueue(`${namespace}.orders.other`)).messageCount).toBe(1)
      await plain.assertQueue(queue, { arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 2_147_483_647 } })
      await plain.bindQueue(queue, `${namespace}.orders`, '#')
      await bus.publish(orders, { n: 3 })
      expect((await plain.checkQueue(queue)).messageCount).toBe(1)
      await bus.close()
    })

    test('rabbitmq: bindings that somebody removed are back with the next publish', async () => {
      const { open, namespace, client } = bench(broker())
      const bus = await createBus(open(), { namespace, logger: false })
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work', 'other'] })
      const seen = { work: new Set<number>(), other: new Set<number>() }
      for (const group of ['work', 'other'] as const)
        await bus.start(consumer(orders, group, ({ n }) => void seen[group].add(n)))
      const plain = await client()
      await plain.unbindQueue(`${namespace}.orders.work`, `${namespace}.orders`, '#')
      await bus.publish(orders, { n: 1 }).catch(() => undefined)
      await plain.unbindQueue(`${namespace}.orders.work`, `${namespace}.orders`, '#')
      await plain.unbindQueue(`${namespace}.orders.other`, `${namespace}.orders`, '#')
      await bus.publish(orders, { n: 2 }, { timeout: '10s' })
      for (const group of ['work', 'other'] as const) await until(() => seen[group].has(2), `2 for ${group}`)
      await bus.close()
    })

    test('rabbitmq: a retry queue or the dead letters that somebody deleted are back for the message that needs them', async () => {
      const { open, namespace, client } = bench(broker())
      const bus = await createBus(open(), { namespace, logger: false })
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
      const attempts: number[] = []
      await bus.start(
        consumer(orders, 'work', {
          retry: { attempts: 2, backoff: fixed('1s'), wait: 'released' },
          handler(_, { attempt }) {
            attempts.push(attempt)
            throw new Error('no')
          },
        }),
      )
      const plain = await client()
      await plain.deleteQueue(`${namespace}.orders.work:retry-1s`)
      await plain.deleteQueue(`${namespace}.orders.work:dead`)
      await bus.publish(orders, { n: 1 })
      // The group is unknown until all its queues are there again.
      const dead = async () => (await bus.stats(orders, 'work').catch(() => undefined))?.deadLetters
      await until(async () => (await dead()) === 1, 'the dead letter')
      expect(attempts).toEqual([1, 2])
      await bus.close()
    })

    test('rabbitmq: where the record of the partitions was deleted it is said how to have it again, and that way works', async () => {
      const { open, namespace, client } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'], key: ({ n }) => `${n}` })
      const first = await createBus(open(), { namespace, logger: false })
      await first.publish(orders, { n: 1 })
      await first.close()
      const plain = await client()
      await plain.deleteQueue(`${namespace}.orders:layout`)
      const bus = await createBus(open(), { namespace, logger: false })
      const seen = new Set<number>()
      const start = () => bus.start(consumer(orders, 'work', ({ n }) => void seen.add(n)))
      await expect(start()).rejects.toMatchObject({
        code: 'TOPOLOGY_CONFLICT',
        message: expect.stringContaining(`'${namespace}.orders:layout' was deleted`),
      })
      await plain.deleteExchange(`${namespace}.orders`)
      await start()
      for (let n = 2; n <= 20; n++) await bus.publish(orders, { n })
      await until(() => seen.size === 20, 'all 20')
      await bus.close()
    })

    test.each([false, true])(
      'rabbitmq: a binding or an exchange that somebody removed is back soon, though we publish nothing (keyed: %s)',
      async (keyed) => {
        const { open, namespace, client } = bench(broker())
        const bus = await createBus(open({ rebindMs: 200 }), { namespace, logger: false })
        const orders = channel('orders', {
          schema: trust<{ n: number }>(),
          groups: ['work'],
          ...(keyed && { key: () => 'k', partitions: 1 }),
        })
        const seen = new Set<number>()
        await bus.start(consumer(orders, 'work', ({ n }) => void seen.add(n)))
        const exchange = `${namespace}.orders`
        const routed = async (n: number): Promise<void> => {
          const plain = await client()
          await until(async () => {
            const sent = plain.publish(exchange, '0', Buffer.from(`{"n":${n}}`))
            return sent && seen.has(n)
          }, `${n}`)
        }
        await routed(1)
        await (await client()).unbindQueue(`${namespace}.orders.work${keyed ? ':0' : ''}`, exchange, keyed ? '0' : '#')
        await routed(2)
        await (await client()).deleteExchange(exchange)
        await until(
          async () =>
            (await client()).checkExchange(exchange).then(
              () => true,
              () => false,
            ),
          'the exchange',
        )
        await routed(3)
        await bus.close()
      },
    )

    test('rabbitmq: publishing where no group exists is UNROUTABLE', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders', { groups: [] }))
      await expect(send(adapter, 'orders', wire())).rejects.toMatchObject({ code: 'UNROUTABLE', sent: 'no' })
    })

    test('rabbitmq: an entry that AMQP cannot carry fails alone', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const messages = [wire(), wire({ headers: [['big', 'x'.repeat(70_000)]] }), wire()]
      const results = await adapter.send(
        messages.map((message) => ({ handover: 0, message, to: { kind: 'channel', channel: 'orders' } })),
        call,
      )
      expect(results.map(({ ok }) => ok)).toEqual([true, false, true])
    })
  },
  { instance: 'rabbitmq-foreign' },
)
