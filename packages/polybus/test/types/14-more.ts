import { channel, consumer, trust, type Bus, type Channel } from 'polybus'
import { pgStore } from '@polybus/idempotency'
import { Pool, type PoolClient } from 'pg'
import { is, type Eq } from './00-types.ts'
declare const bus: Bus
interface Order {
  id: string
}
export const typed: Channel<Order, Order, 'a'> = channel('t', {
  schema: trust<Order>(),
  key: (o) => o.id,
  groups: ['a'],
})
// destructuring publish keeps types; context-sensitive options in every order
const { publish } = bus
await publish(typed, { id: 'x' })
consumer(typed, 'a', {
  handler: async (o, { tx }) => {
    is<Eq<typeof tx, PoolClient>>()
    is<Eq<typeof o, Order>>()
  },
  idempotencyKey: (o) => o.id,
  idempotency: pgStore(new Pool()),
})
consumer(typed, 'a', {
  idempotency: pgStore(new Pool()),
  async handler(_o, { tx }) {
    is<Eq<typeof tx, PoolClient>>()
  },
})
await bus.subscribe(typed, 'a', async (o) => {
  is<Eq<typeof o, Order>>()
})
consumer(typed, 'a', async (_o, { tx }) => {
  // @ts-expect-error tx needs a transactional store
  await tx.query('')
})
// @ts-expect-error publish a supertype
await bus.publish(typed, {})
