// On a FIFO queue one receive may bring ten of one key, which are handled one by one.
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, sleep, trust } from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { bench, clock, create, send, spec, subscribe, until, wire } from './support.ts'

// A busy machine is slow, and so is SQS.
vi.setConfig({ testTimeout: 30_000 })

await describeBroker(
  'sqs',
  (broker) => {
    test('sqs FIFO: hot keys with a slow handler and a long backlog do not starve the others', async () => {
      const { open, namespace } = await bench(broker())
      const bus = await createBus(open({ visibilityMs: 30_000 }), { namespace })
      onTestFinished(() => bus.close({ grace: '1s' }))
      const orders = channel('orders', {
        schema: trust<{ key: string; n: number }>(),
        key: ({ key }) => key,
        groups: ['work'],
      })
      const hot = ['hot-1', 'hot-2', 'hot-3']
      // All that is hot comes first.
      await Promise.all(hot.flatMap((key) => Array.from({ length: 60 }, (_, n) => bus.publish(orders, { key, n }))))
      await Promise.all(Array.from({ length: 60 }, (_, n) => bus.publish(orders, { key: `cold-${n}`, n })))
      const done: string[] = []
      await bus.start(
        consumer(orders, 'work', {
          concurrency: 8,
          async handler({ key }) {
            if (key.startsWith('hot')) await sleep(clock, 400)
            done.push(key)
          },
        }),
      )
      const cold = (): number => done.filter((key) => key.startsWith('cold')).length
      await until(
        () => cold() === 60,
        () => `all cold ones; ${cold()} of ${done.length}`,
        15_000,
      )
      // Their handlers alone take 24 s for each key.
      expect(done.length - cold()).toBeLessThan(120)
    })

    test('sqs FIFO: what is asked for at once leaves room for other keys', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect({ visibilityMs: 30_000 })
      const orders = spec('orders', { keyed: true })
      await create(adapter, orders)
      for (let n = 0; n < 12; n++) for (const key of ['a', 'b', 'c']) await send(adapter, 'orders', wire({ key }))
      await send(adapter, 'orders', wire({ key: 'cold' }))
      const member = await subscribe(adapter, orders, { maxInFlight: 20 })
      const lanes = new Map<string, number>()
      const until = clock.now() + 5000
      while (!lanes.has('cold') && clock.now() < until)
        for (const { message } of await member.take(1, 1000))
          lanes.set(message.key ?? '', (lanes.get(message.key ?? '') ?? 0) + 1)
      expect([...lanes.keys()]).toContain('cold')
    })
  },
  { instance: 'tests' },
)
