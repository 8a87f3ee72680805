// Programs that know nothing of Polybus, on both sides.
import { describeBroker } from '@polybus/brokers'
import { type Channel, channel, consumer, createBus, type Destination, fixed, trust } from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { redis } from '../src/index.ts'
import { bench, call, create, ids, send, spec, subscribe, until, wire } from './support.ts'

// Tidying comes every five seconds.
vi.setConfig({ testTimeout: 45_000 })

await describeBroker(
  'redis',
  (broker) => {
    test('redis: what a plain XADD writes is consumed, and its id is its position', async () => {
      const { open, namespace, client } = bench(broker())
      const bus = await createBus(open(), { namespace, logger: false })
      const orders = channel('orders', { schema: trust<{ id: string; cents?: string }>(), groups: ['work'] })
      const seen: { id: string; value: unknown }[] = []
      await bus.start(consumer(orders, 'work', (value, { message }) => void seen.push({ id: message.id, value })))
      const one = await client.xadd(`${namespace}:orders`, '*', 'data', '{"id":"o-1"}', 'trace', 'x')
      const two = await client.xadd(`${namespace}:orders`, '*', 'id', 'o-2', 'cents', '5')
      await until(() => seen.length === 2, 'both messages')
      expect(seen).toEqual([
        { id: `orders/0/${one}`, value: { id: 'o-1' } },
        { id: `orders/0/${two}`, value: { id: 'o-2', cents: '5' } },
      ])
      await bus.close()
    })

    test('redis: what we publish is a plain body and plain fields to other clients', async () => {
      const { connect, namespace, client } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(adapter, 'orders', wire({ id: 'o-1', body: Buffer.from('{"cents":5}'), headers: [['trace', 'abc']] }))
      const [[, fields] = []] = await client.xrange(`${namespace}:orders`, '-', '+')
      const record = Object.fromEntries(
        Array.from({ length: (fields?.length ?? 0) / 2 }, (_, n) => [fields?.[2 * n], fields?.[2 * n + 1]]),
      )
      expect(record).toMatchObject({ data: '{"cents":5}', ce_id: 'o-1', ce_specversion: '1.0', trace: 'abc' })
      expect(record['content-type']).toBe('application/json')
    })

    test('redis: a stream of another name, with another body field and key field, is used as it is', async () => {
      const { connect, client, namespace } = bench(broker())
      const stream = `${namespace}-legacy`
      await client.xadd(stream, '*', 'customer', 'c-1', 'payload', 'hello', 'x', '1')
      const adapter = await connect({ channels: { orders: { stream, bodyField: 'payload', keyField: 'customer' } } })
      await create(adapter, spec('orders'))
      const [delivery] = await (await subscribe(adapter, spec('orders'))).take(1)
      expect(String(delivery?.message.body)).toBe('hello')
      expect(delivery?.message).toMatchObject({ key: 'c-1', headers: [['x', '1']] })
      await client.del(stream)
    })

    test.each(['none', 'fields'] as const)(
      'redis: with the envelope %s messages go as other programs write them, and come back through retries and a replay',
      async (envelope) => {
        const { open, namespace, client } = bench(broker())
        const channels = { orders: { envelope }, keyed: { envelope }, lanes: { envelope, keyField: 'n' } }
        const bus = await createBus(open({ channels }), { namespace, logger: false })
        onTestFinished(() => bus.close())
        const orders = channel('orders', { schema: trust<{ n: string }>(), groups: ['work'] })
        const seen: unknown[] = []
        await bus.start(
          consumer(orders, 'work', {
            retry: { attempts: 2, backoff: fixed('50ms'), wait: 'released' },
            handler({ n }, { attempt, message: { id } }) {
              seen.push([id, n, attempt])
              if (seen.length < 3) throw new Error('not yet')
            },
          }),
        )
        const { position } = await bus.publish(orders, { n: '1' }, { headers: { trace: 'abc' } })
        const [[, fields] = []] = await client.xrange(`${namespace}:orders`, '-', '+')
        expect(fields).toEqual(
          envelope === 'fields'
            ? ['n', '1']
            : ['data', '{"n":"1"}', 'content-type', 'application/json', 'trace', 'abc'],
        )
        await until(async () => (await bus.stats(orders, 'work')).deadLetters === 1, 'the dead letter')
        expect(await bus.deadLetters(orders, 'work').replay({})).toEqual({ done: 1, failed: 0 })
        await until(() => seen.length === 3, 'the replay')
        const id = `orders/${position}`
        expect(seen).toEqual([
          [id, '1', 1],
          [id, '1', 2],
          [id, '1', 1],
        ])
        const byKey = (name: string): Channel<{ n: string }, { n: string }, 'work'> =>
          channel(name, { schema: trust<{ n: string }>(), key: ({ n }) => n, groups: ['work'] })
        await expect(bus.start(consumer(byKey('keyed'), 'work', () => {}))).rejects.toMatchObject({
          code: 'UNSUPPORTED',
        })
        const keys: unknown[] = []
        await bus.start(consumer(byKey('lanes'), 'work', (_, { message: { key } }) => void keys.push(key)))
        await bus.publish(byKey('lanes'), { n: 'k-1' })
        await until(() => keys.length === 1, 'the message with a key')
        expect(keys).toEqual(['k-1'])
      },
    )

    test('redis: a client of yours lends its settings, and stays yours', async () => {
      const { client, namespace } = bench(broker())
      const adapter = redis({ client })
      await adapter.connect({ ...call, namespace, service: 'test', topology: 'create' })
      await create(adapter, spec('orders'))
      await send(adapter, 'orders', wire())
      expect(adapter.client).not.toBe(client)
      await adapter.close()
      expect(await client.xlen(`${namespace}:orders`)).toBe(1)
    })

    test('redis: a foreign entry of 5,000 fields is consumed, retried and dead-lettered, and kept where it cannot be written', async () => {
      const { connect, client, namespace, keys } = bench(broker())
      const adapter = await connect({ leaseMs: 20_000 })
      await create(adapter, spec('orders'))
      const fields = Array.from({ length: 5000 }, (_, n) => [`f${n}`, String(n)]).flat()
      await client.xadd(`${namespace}:orders`, '*', 'data', 'x', ...fields)
      const member = await subscribe(adapter, spec('orders'))
      const move = async (to: Destination): Promise<boolean | undefined> => {
        const [delivery] = await member.take(1)
        expect(delivery?.message.headers.filter(([name]) => name.startsWith('f'))).toHaveLength(5000)
        const [result] = await member.settle({ token: delivery?.token, kind: 'move', to, headers: [] })
        if (!result?.ok) await member.settle({ token: delivery?.token, kind: 'release' })
        return result?.ok
      }
      expect(await move({ kind: 'group', channel: 'orders', group: 'work', delayMs: 10 })).toBe(true)
      const dead = keys('orders').dead('work')
      await client.set(dead, 'of another type')
      const toDead = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      expect(await move(toDead)).toBe(false)
      await client.del(dead)
      expect(await move(toDead)).toBe(true)
      expect(await client.xlen(dead)).toBe(1)
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ backlog: 0, inFlight: 0 })
    })

    test.each([false, true])(
      'redis: streams made by hand, as the docs say, do for topology none (keyed: %s)',
      async (keyed) => {
        const { connect, client, keys } = bench(broker())
        const { stream, retry, meta } = keys('orders', keyed)
        for (let lane = 0; lane < (keyed ? 8 : 1); lane++)
          for (const key of [stream(lane), retry('work', lane)])
            await client.xgroup('CREATE', key, 'work', '0', 'MKSTREAM')
        const layout = keyed ? ['keyed', 1, 'partitions', 8] : ['keyed', 0, 'partitions', 1]
        await client.hset(meta, 'format', 1, ...layout, 'group:work', 1)
        const adapter = await connect({}, 'none')
        await send(adapter, 'orders', wire({ id: 'o-1', key: 'k' }))
        const member = await subscribe(adapter, spec('orders', { keyed }))
        const [delivery] = await member.take(1)
        const to = { kind: 'group', channel: 'orders', group: 'work', delayMs: 10 } as const
        await member.settle({ token: delivery?.token, kind: 'move', to, headers: [] })
        expect(ids(await member.take(1))).toEqual(['o-1'])
        expect(await adapter.stats?.read(spec('orders', { keyed }), 'work', call)).toMatchObject({
          backlog: 0,
          inFlight: 1,
        })
      },
    )

    test('redis: a foreign consumer group beside ours is neither read nor trimmed away', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ retentionMs: 0 })
      await create(adapter, spec('orders'))
      await client.xgroup('CREATE', `${namespace}:orders`, 'legacy', '0')
      await send(adapter, 'orders', ...Array.from({ length: 500 }, () => wire()))
      const member = await subscribe(adapter, spec('orders'))
      await member.ack(...(await member.take(500)))
      // Tidying happens every five seconds or so.
      await until(
        async () => (await client.hexists(`{${namespace}:orders}:meta`, 'tidied:work:0')) === 1,
        'tidying',
        15_000,
      )
      expect(await client.xlen(`${namespace}:orders`)).toBe(500)
      await client.xgroup('DESTROY', `${namespace}:orders`, 'legacy')
      await until(async () => (await client.xlen(`${namespace}:orders`)) < 200, 'trimming', 15_000)
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ backlog: 0, inFlight: 0 })
    })
  },
  { instance: 'redis-foreign' },
)
