// What only RabbitMQ has to go wrong: alarms, and a server that is told to refuse.
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, type Outgoing, PolybusError, trust } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { control } from './control.ts'
import { bench, call, clock, create, spec, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 60_000 })

await describeBroker(
  'rabbitmq',
  (broker) => {
    test('rabbitmq: of many that set up one keyed channel at once none is refused', async () => {
      const { connect } = bench(broker())
      const adapters = await Promise.all(Array.from({ length: 6 }, () => connect()))
      for (let round = 0; round < 5; round++) {
        const orders = spec(`orders-${round}`, { keyed: true, groups: ['work'] })
        const conflicts = await Promise.all(
          adapters.map(async ({ topology }, index) => {
            // Not all in the same step.
            for (let turn = 0; turn < index * 2; turn++) await clock.turn()
            const plan = await topology?.plan([orders], call)
            await topology?.apply(plan?.changes ?? [], call)
            return plan?.conflicts
          }),
        )
        expect(conflicts.flat()).toEqual([])
      }
    })
    test.each([false, true])(
      'rabbitmq: a consumer whose queue somebody deletes and makes again at once is not silent for long (keyed: %s)',
      async (keyed) => {
        const { open, namespace, client } = bench(broker())
        const bus = await createBus(open(), { namespace, logger: false })
        const orders = channel('orders', {
          schema: trust<{ n: number }>(),
          groups: ['work'],
          ...(keyed && { key: () => 'k', partitions: 1 }),
        })
        const seen = new Set<number>()
        await bus.start(consumer(orders, 'work', ({ n }) => void seen.add(n)))
        await bus.publish(orders, { n: 0 })
        await until(() => seen.has(0), 'the first')
        const plain = await client()
        const queue = `${namespace}.orders.work${keyed ? ':0' : ''}`
        const quorum = { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 ** 31 - 1 }
        const table = keyed ? { ...quorum, 'x-single-active-consumer': true } : quorum
        await plain.deleteQueue(queue)
        await plain.assertQueue(queue, { arguments: table })
        await plain.bindQueue(queue, `${namespace}.orders`, keyed ? '0' : '#')
        await bus.publish(orders, { n: 1 })
        await until(() => seen.has(1), 'what was published afterwards', 12_000)
        await bus.close()
      },
    )
    test('rabbitmq: a queue that another connection has for itself is a conflict, told at once', async () => {
      const { open, namespace, client } = bench(broker())
      const plain = await client()
      await plain.assertQueue(`${namespace}.orders.work`, { exclusive: true, durable: true })
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
      const bus = await createBus(open(), { namespace, logger: false })
      const start = bus.start(consumer(orders, 'work', () => {}))
      await expect(start).rejects.toMatchObject({
        code: 'TOPOLOGY_CONFLICT',
        message: expect.stringContaining('(exclusive)'),
      })
      await expect(bus.publish(orders, { n: 1 })).rejects.toMatchObject({ code: 'TOPOLOGY_CONFLICT', sent: 'no' })
      await bus.close()
    })
    test('rabbitmq: dead letters of foreign messages that cannot be read have ids that stay, one look after the other', async () => {
      const { open, namespace, client } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
      const bus = await createBus(open(), { namespace, logger: false })
      await bus.start(consumer(orders, 'work', () => {}))
      const plain = await client()
      for (const n of [0, 1, 2]) plain.publish(`${namespace}.orders`, 'x', Buffer.from(`garbage ${n}`))
      await until(async () => (await bus.stats(orders, 'work')).deadLetters === 3, 'three dead letters')
      const letters = bus.deadLetters(orders, 'work')
      const look = async (): Promise<[string, string][]> => {
        const found: [string, string][] = []
        for await (const { id, message } of letters.list()) found.push([id, String(Buffer.from(message.body ?? []))])
        return found
      }
      const [, second] = await look()
      expect(await letters.discard({ ids: [second?.[0] ?? ''] })).toEqual({ done: 1, failed: 0 })
      expect((await look()).map(([, body]) => body).toSorted()).toEqual(
        ['garbage 0', 'garbage 1', 'garbage 2'].filter((body) => body !== second?.[1]),
      )
      await bus.close()
    })
    test('rabbitmq: a full queue of one group costs the others one more copy, however long it lasts', async () => {
      const { connect, namespace, client } = bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { groups: ['a', 'b'] })
      await create(adapter, orders)
      const plain = await client()
      const full = `${namespace}.orders.a`
      // In the place of a policy, and with a limit that a quorum queue would only keep roughly.
      await plain.deleteQueue(full)
      await plain.assertQueue(full, { arguments: { 'x-max-length': 0, 'x-overflow': 'reject-publish' } })
      await plain.bindQueue(full, `${namespace}.orders`, '#')
      const message = wire({ id: 'm-1' })
      const first = { handover: 0, message, to: { kind: 'channel', channel: 'orders' } } as const
      const missingOf = async (one: Outgoing): Promise<unknown> => {
        const [result] = await adapter.send([one], call)
        return result?.ok ? result.value.missing?.map(({ group, error }) => [group, error.code]) : result?.error.code
      }
      expect(await missingOf(first)).toEqual([['a', 'BROKER_BUSY']])
      for (let again = 0; again < 3; again++) expect(await missingOf({ ...first, groups: ['a'] })).toBe('BROKER_BUSY')
      expect((await plain.checkQueue(`${namespace}.orders.b`)).messageCount).toBe(2)
      await plain.deleteQueue(full)
    })
    test('rabbitmq: where a group is gone nothing is routed, other channels are not concerned, and what cannot be made again is said', async () => {
      const { connect, namespace, client } = bench(broker())
      const adapter = await connect()
      const [one, other] = [spec('one', { groups: ['a'] }), spec('other', { groups: ['a'] })]
      await create(adapter, one)
      await create(adapter, other)
      const plain = await client()
      // It cannot be made again as it has to be.
      await plain.deleteQueue(`${namespace}.one.a`)
      await plain.deleteQueue(`${namespace}.one.a:dead`)
      await plain.assertQueue(`${namespace}.one.a:dead`, { arguments: { 'x-queue-type': 'classic' } })
      await plain.assertQueue(`${namespace}.elsewhere`, { exclusive: true })
      await plain.bindQueue(`${namespace}.elsewhere`, `${namespace}.one`, '#')
      const sent = async (): Promise<unknown[]> => {
        const results = await adapter.send(
          ['one', 'other'].map((channel, handover) => ({
            handover,
            message: wire(),
            to: { kind: 'channel', channel },
          })),
          call,
        )
        return results.map((result) => (result.ok ? 'ok' : result.error.code))
      }
      expect(await sent()).toEqual(['TOPOLOGY_MISSING', 'ok'])
      expect(await sent()).toEqual(['TOPOLOGY_CONFLICT', 'ok'])
      expect((await plain.checkQueue(`${namespace}.elsewhere`)).messageCount).toBe(0)
    })
    test('rabbitmq: during a memory alarm every publish settles by its deadline, consuming goes on, and afterwards all is well', async (context) => {
      const ctl = control(broker())
      if (!ctl) return context.skip('rabbitmqctl is not at hand')
      const { open, namespace } = bench(broker())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
      const bus = await createBus(open(), { namespace, logger: false })
      const seen: number[] = []
      let release: () => void = () => {}
      const held = new Promise<void>((resolve) => (release = resolve))
      await bus.start(
        consumer(orders, 'work', async ({ n }) => {
          if (n === 0) await held
          seen.push(n)
        }),
      )
      await bus.publish(orders, { n: 0 })
      await ctl(['set_vm_memory_high_watermark', '0.00001'])
      try {
        const refused = async (): Promise<PolybusError | undefined> => {
          const started = Date.now()
          const error = await bus.publish(orders, { n: 1 }, { timeout: '500ms' }).catch((thrown: unknown) => thrown)
          expect(Date.now() - started).toBeLessThan(10_000)
          return PolybusError.is(error) ? error : undefined
        }
        // The first that is written makes the server say that it does not read.
        await until(async () => (await refused())?.sent === 'no', 'the alarm to be known')
        release()
        await until(() => seen.includes(0), 'the handler that was under way')
        expect((await bus.stats(orders, 'work')).deadLetters).toBe(0)
      } finally {
        await ctl(['set_vm_memory_high_watermark', '0.4'])
      }
      await until(
        () =>
          bus.publish(orders, { n: 2 }, { timeout: '2s' }).then(
            () => true,
            () => false,
          ),
        'publishing again',
      )
      await until(() => seen.includes(2), 'what was published afterwards')
      await bus.close()
    })
  },
  { instance: 'rabbitmq-trouble' },
)
