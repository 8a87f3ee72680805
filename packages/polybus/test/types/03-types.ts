import { channel, consumer, types, type Bus } from 'polybus'
import { z } from 'zod'
import { is, type Eq } from './00-types.ts'
export const orderEvents = channel('order-events', {
  schema: types({
    'order.placed': z.object({ orderId: z.string(), cents: z.number() }),
    'order.cancelled': z.object({ orderId: z.string(), reason: z.string() }),
  }),
  key: (e) => e.data.orderId,
  groups: ['projection'],
})
declare const bus: Bus
await bus.publish(orderEvents, { type: 'order.placed', data: { orderId: 'o-1', cents: 3 } })
// @ts-expect-error wrong data for the type
await bus.publish(orderEvents, { type: 'order.placed', data: { orderId: 'o-1', reason: 'x' } })
// @ts-expect-error unknown type
await bus.publish(orderEvents, { type: 'order.plcaed', data: { orderId: 'o-1', cents: 3 } })
export const a = consumer(orderEvents, 'projection', async (e) => {
  switch (e.type) {
    case 'order.placed':
      is<Eq<typeof e.data.cents, number>>()
      break
    case 'order.cancelled':
      is<Eq<typeof e.data.reason, string>>()
      break
    default:
      e satisfies never
  }
})
export const b = consumer(orderEvents, 'projection', {
  concurrency: 4,
  on: {
    'order.placed': async (data, ctx) => {
      is<Eq<typeof data.cents, number>>()
      is<Eq<typeof ctx.attempt, number>>()
    },
    'order.cancelled': async (data) => {
      is<Eq<typeof data.reason, string>>()
    },
  },
})
// @ts-expect-error map must be exhaustive
consumer(orderEvents, 'projection', { on: { 'order.placed': async () => {} } })
export const c2 = consumer(orderEvents, 'projection', {
  on: {
    'order.placed': async (d) => {
      is<Eq<typeof d.cents, number>>()
    },
    'order.cancelled': async (d) => {
      is<Eq<typeof d.reason, string>>()
    },
    '*': (d, ctx) => {
      is<Eq<typeof d, unknown>>()
      ctx.log.warn({ type: ctx.message.type }, 'unknown type')
    },
  },
})

// The handler of all others in the place of some, or of all.
consumer(orderEvents, 'projection', { on: { 'order.placed': ({ orderId }) => void orderId, '*': (data) => void data } })
consumer(orderEvents, 'projection', { on: { '*': (data) => void data } })
