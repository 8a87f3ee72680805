import { channel, consumer } from 'polybus'
import { z } from 'zod'
import { orders } from './02-typed.ts'
const receipts = channel('receipts', { schema: z.object({ orderId: z.string() }), key: (r) => r.orderId })
export const email = consumer(orders, 'email', async (order, ctx) => {
  await ctx.publish(receipts, { orderId: order.id }, { id: ctx.sideEffectKey('receipt') }) // same id on every attempt
  // @ts-expect-error
  await ctx.publish(receipts, { order: order.id })
})
