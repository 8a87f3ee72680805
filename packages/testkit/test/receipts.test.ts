// A user's test file: it runs unchanged in memory, and on a real broker where TEST_BROKER names one.
import { channel, consumer, NonRetryable, RetryAfter } from 'polybus'
import { testBus } from '@polybus/testkit'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'

const broker = process.env['TEST_BROKER']
const on = broker ?? 'memory'

const orders = channel('orders', {
  schema: z.object({ id: z.string(), customer: z.string(), cents: z.number().int() }),
  key: (order) => order.customer,
  groups: ['email'],
})
const order = { id: 'o-1', customer: 'c-42', cents: 2998 }

const email = (send: (id: string) => Promise<void> | void) =>
  consumer(orders, 'email', {
    retry: { attempts: 3 },
    handler: (value) => {
      if (value.cents < 0) throw new NonRetryable('negative amount')
      return send(value.id)
    },
  })

test(`${on}: a receipt is sent after one failure, without waiting for the hour`, async () => {
  const sent: string[] = []
  let failures = 1
  const bus = await testBus({
    broker,
    delays: 'skip',
    consumers: [
      email((id) => {
        if (failures-- > 0) throw new RetryAfter('1h')
        sent.push(id)
      }),
    ],
  })
  onTestFinished(() => bus.close())
  await bus.publish(orders, order)
  await bus.settled({ timeout: '10s' })
  expect(sent).toEqual(['o-1'])
  expect(bus.handled(orders, 'email')).toMatchObject([{ value: order, outcome: 'ack', attempts: 2 }])
})

test(`${on}: a negative amount goes to the dead letters, and is sent after it was put right`, async () => {
  const sent: string[] = []
  const bus = await testBus({ broker, delays: 'skip', consumers: [email((id) => void sent.push(id))] })
  onTestFinished(() => bus.close())
  await bus.publish(orders, { ...order, cents: -1 })
  await bus.publish(orders, { ...order, id: 'o-2' })
  await bus.settled()
  expect(sent).toEqual(['o-2'])
  expect(bus.handled(orders, 'email').map(({ outcome }) => outcome)).toEqual(['dead-letter', 'ack'])

  await bus.deadLetters(orders, 'email').replay({ reason: 'non-retryable' }, { edit: () => order })
  await bus.settled()
  expect(sent).toEqual(['o-2', 'o-1'])
})
