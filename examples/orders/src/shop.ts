// The shop: one channel of orders, and the six groups that each get every order.
import { channel, type Channel, consumer, type Consumer, exponential } from 'polybus'
import { memoryStore } from '@polybus/idempotency'
import { z } from 'zod'
import { type Group, GROUPS } from './groups.ts'
import type { Purchase } from './purchases.ts'
import { CardDeclined, type Services } from './services.ts'

export const orders: Channel<Purchase, Purchase, Group> = channel('orders', {
  schema: z.object({
    number: z.int().positive(),
    customer: z.string().regex(/^\d{5}$/),
    date: z.string().regex(/^\d{8}$/),
    cds: z.int().positive(),
    cents: z.int().nonnegative(),
  }),
  key: (order) => order.customer, // a customer's orders are handled one after another
  groups: GROUPS, // they exist, and miss nothing, before any consumer runs
})

/**
 * One consumer a group. Every request carries a key that is the same at each attempt and after every crash.
 * Returning is success, throwing is a retry, and what is out of attempts is a dead letter.
 */
export function openShop(services: Services, concurrency: number): Consumer[] {
  return [
    consumer(orders, 'charge', {
      concurrency,
      idempotency: memoryStore(), // an order that comes twice is charged once
      retry: {
        attempts: 5,
        backoff: exponential({ initial: '20ms', max: '1s' }),
        rules: [{ on: [CardDeclined], attempts: 1 }], // asking again would not help
      },
      handler: (order, ctx) => services.charge(order, ctx.sideEffectKey('charge'), ctx.attempt),
    }),
    consumer(orders, 'inventory', {
      concurrency,
      idempotency: memoryStore(),
      handler: (order, ctx) => services.reserve(order, ctx.sideEffectKey('reserve'), ctx.attempt),
    }),
    consumer(orders, 'email', {
      concurrency,
      idempotency: memoryStore(),
      retry: { attempts: 10, backoff: exponential({ initial: '50ms', max: '1s' }) }, // sits out an outage of seconds
      handler: (order, ctx) => services.confirm(order, ctx.sideEffectKey('confirm'), ctx.attempt),
    }),
    consumer(orders, 'warehouse', {
      concurrency,
      idempotency: memoryStore(),
      handler: (order, ctx) => services.pack(order, ctx.sideEffectKey('pack'), ctx.attempt),
    }),
    consumer(orders, 'analytics', {
      concurrency,
      idempotency: memoryStore(),
      handler: (order, ctx) => services.count(order, ctx.sideEffectKey('count'), ctx.attempt),
    }),
    // Looking at an order twice does no harm: no store.
    consumer(orders, 'fraud', {
      concurrency,
      handler: (order, ctx) => services.score(order, ctx.sideEffectKey('score'), ctx.attempt),
    }),
  ]
}
