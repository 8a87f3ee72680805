// The shop: one channel of orders, and the six groups that each get every order.
import { channel, type Channel, consumer, type Consumer, exponential } from 'polybus'
import { memoryStore } from '@polybus/idempotency'
import { z } from 'zod'
import type { Purchase } from './purchases.ts'
import { CardDeclined, type Services } from './services.ts'

export const GROUPS = ['charge', 'inventory', 'email', 'warehouse', 'analytics', 'fraud'] as const
export type Group = (typeof GROUPS)[number]

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

/** One consumer a group. Returning is success, throwing is a retry, and what is out of attempts is a dead letter. */
export function openShop(services: Services): Consumer[] {
  const concurrency = 128
  return [
    consumer(orders, 'charge', {
      concurrency,
      idempotency: memoryStore(), // an order that comes twice is charged once
      retry: {
        attempts: 5,
        backoff: exponential({ initial: '20ms', max: '1s' }),
        rules: [{ on: [CardDeclined], attempts: 1 }], // asking again would not help
      },
      handler: (order, { attempt }) => services.charge(order, attempt),
    }),
    consumer(orders, 'inventory', {
      concurrency,
      idempotency: memoryStore(),
      handler: (order) => services.reserve(order),
    }),
    consumer(orders, 'email', {
      concurrency,
      idempotency: memoryStore(),
      retry: { attempts: 10, backoff: exponential({ initial: '50ms', max: '1s' }) }, // sits out an outage of seconds
      handler: (order, { attempt }) => services.confirm(order, attempt),
    }),
    consumer(orders, 'warehouse', {
      concurrency,
      idempotency: memoryStore(),
      handler: (order) => services.pack(order),
    }),
    consumer(orders, 'analytics', {
      concurrency,
      idempotency: memoryStore(),
      handler: (order) => services.count(order),
    }),
    // Looking at an order twice does no harm: no store.
    consumer(orders, 'fraud', { concurrency, handler: (order) => services.score(order) }),
  ]
}
