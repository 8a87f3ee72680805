// What only RabbitMQ has to go wrong: alarms, and a server that is told to refuse.
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, PolybusError, trust } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { control } from './control.ts'
import { bench, call, clock, spec, until } from './support.ts'

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
          expect(Date.now() - started).toBeLessThan(3000)
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
