import { consumer, type IdempotencyStore, type Consumer } from 'polybus'
import { pgStore, drizzleStore, kyselyStore, prismaStore, redisStore } from '@polybus/idempotency'
import { Pool, type PoolClient } from 'pg'
import { drizzle as drizzleDb } from 'drizzle-orm/node-postgres'
import { pgTable, text, integer } from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect, type Transaction } from 'kysely'
// ioredis comes with adapters/redis: until then its client by the one method used.
declare const redis: { eval(...args: any[]): Promise<unknown> }
import { orders } from './02-typed.ts'
import { is, type Eq } from './00-types.ts'
const pool = new Pool()
export const a = consumer(orders, 'email', {
  idempotency: pgStore(pool),
  retry: { attempts: 3 },
  handler: async (order, { tx }) => {
    is<Eq<typeof tx, PoolClient>>()
    await tx.query('insert into charges values ($1,$2)', [order.id, order.cents])
  },
})
const charges = pgTable('charges', { id: text().primaryKey(), cents: integer() })
const ddb = drizzleDb(pool, { schema: { charges } })
export const b = consumer(orders, 'email', {
  idempotency: drizzleStore(ddb),
  idempotencyKey: (o) => o.id,
  handler: async (order, { tx }) => {
    await tx.insert(charges).values({ id: order.id, cents: order.cents })
    // @ts-expect-error typed columns
    await tx.insert(charges).values({ id: 3 })
  },
})
interface DB {
  charges: { id: string; cents: number }
}
const kdb = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
export const c = consumer(orders, 'email', {
  idempotency: kyselyStore(kdb),
  handler: async (order, { tx }) => {
    is<Eq<typeof tx, Transaction<DB>>>()
    await tx.insertInto('charges').values({ id: order.id, cents: order.cents }).execute()
  },
})
interface PTx {
  charge: { create(a: { data: { id: string } }): Promise<void> }
}
declare const client: {
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as Prisma generates it
  $transaction<P extends Promise<any>[]>(arg: [...P]): Promise<unknown[]>
  $transaction<R>(fn: (prisma: PTx) => Promise<R>, options?: { timeout?: number }): Promise<R>
}
export const d = consumer(orders, 'email', {
  idempotency: prismaStore(client),
  handler: async (_order, { tx }) => {
    is<Eq<typeof tx, PTx>>()
  },
})
export const e = consumer(orders, 'email', {
  idempotency: redisStore(redis),
  handler: async (_o, { tx }) => {
    is<Eq<typeof tx, undefined>>()
  },
})
// generic factory over the store, for tests
export const chargeConsumer = (store: IdempotencyStore<PoolClient>): Consumer =>
  consumer(orders, 'email', {
    idempotency: store,
    handler: async (o, { tx }) => {
      await tx.query('select $1', [o.id])
    },
  })
