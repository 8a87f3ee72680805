// What handlers get as `tx`, by the clients' own types. These compile, or they don't.
import { DatabaseSync } from 'node:sqlite'
import { channel, type Consumer, consumer, type IdempotencyStore, trust } from '@polybus/core'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect, type Transaction } from 'kysely'
import { Pool, type PoolClient } from 'pg'
import { expect, expectTypeOf, test } from 'vitest'
import {
  drizzleStore,
  kyselyStore,
  pgClaimStore,
  pgStore,
  prismaStore,
  sqliteClaimStore,
  sqliteStore,
} from '../src/index.ts'
import type { Prisma, PrismaClient } from './fixtures/prisma/client.ts'

interface Database {
  charges: { id: string; cents: number }
}
const orders = channel('orders', { schema: trust<{ id: string; cents: number }>() })
const charges = pgTable('charges', { id: text().primaryKey(), cents: integer() })

test('tx has the type that the client gives its transactions', () => {
  const pool = new Pool()
  const drizzled = drizzle(pool, { schema: { charges } })
  const kysely = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
  const sqlite = new DatabaseSync(':memory:')

  const all: readonly Consumer[] = [
    consumer(orders, 'pg', {
      idempotency: pgStore(pool),
      async handler(order, { tx }) {
        expectTypeOf(tx).toEqualTypeOf<PoolClient>()
        await tx.query('insert into charges values ($1, $2)', [order.id, order.cents])
      },
    }),
    consumer(orders, 'drizzle', {
      idempotency: drizzleStore(drizzled),
      idempotencyKey: (order) => order.id,
      async handler(order, { tx }) {
        await tx.insert(charges).values({ id: order.id, cents: order.cents })
        // @ts-expect-error columns have types
        await tx.insert(charges).values({ id: 3 })
      },
    }),
    consumer(orders, 'kysely', {
      idempotency: kyselyStore(kysely),
      async handler(order, { tx }) {
        expectTypeOf(tx).toEqualTypeOf<Transaction<Database>>()
        await tx.insertInto('charges').values({ id: order.id, cents: order.cents }).execute()
        // @ts-expect-error tables too
        await tx.insertInto('charge').values({ id: order.id }).execute()
      },
    }),
    consumer(orders, 'sqlite', {
      idempotency: sqliteStore(sqlite),
      handler(order, { tx }) {
        expectTypeOf(tx).toEqualTypeOf<DatabaseSync>()
        tx.prepare('insert into charges values (?, ?)').run(order.id, order.cents)
      },
    }),
    ...[pgClaimStore(pool), sqliteClaimStore(sqlite)].map((idempotency, index) =>
      consumer(orders, `claims-${index}`, {
        idempotency,
        handler(_, { tx }) {
          expectTypeOf(tx).toEqualTypeOf<undefined>()
        },
      }),
    ),
  ]
  expect(all).toHaveLength(6)
})

test('a factory may leave the store open, for tests', () => {
  const charge = (store: IdempotencyStore<PoolClient>): Consumer =>
    consumer(orders, 'charge', {
      idempotency: store,
      handler: async (order, { tx }) => void (await tx.query('select $1', [order.id])),
    })
  expect(charge(pgStore(new Pool()))).toMatchObject({ group: 'charge' })
})

// Only compiled: a client of Prisma connects to be made.
export const ofPrisma = (client: PrismaClient): Consumer =>
  consumer(orders, 'prisma', {
    idempotency: prismaStore(client),
    async handler(order, { tx }) {
      expectTypeOf(tx).toEqualTypeOf<Prisma.TransactionClient>()
      await tx.effect.create({ data: { effect: order.id } })
      // @ts-expect-error models have types
      await tx.effect.create({ data: { effect: order.cents } })
    },
  })
