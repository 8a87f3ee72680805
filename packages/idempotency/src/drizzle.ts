// Postgres through Drizzle.
import { checkClient, databaseSettings, type DatabaseStoreOptions } from './options.ts'
import { inline, type Query, type Row } from './postgres/query.ts'
import { throughTransactions } from './postgres/through.ts'
import { createTransactional } from './postgres/transactions.ts'
import type { DatabaseStore } from './transaction.ts'

/** As much of Drizzle's database as the store uses. */
export interface DrizzleDatabase<Tx> {
  transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T>
}

/**
 * As {@link pgStore}, through Drizzle on Postgres: `tx` is Drizzle's transaction, with the types of your schema.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const charge = consumer(orders, 'charge', {
 *   idempotency: drizzleStore(db),
 *   async handler(order, { tx }) {
 *     await tx.insert(charges).values({ id: order.id, cents: order.cents })
 *   },
 * })
 */
export function drizzleStore<Tx extends object>(
  db: DrizzleDatabase<Tx>,
  options: DatabaseStoreOptions = {},
): DatabaseStore<Tx> {
  const settings = databaseSettings(options, 'drizzleStore()')
  checkClient(db, ['transaction', 'execute'], 'drizzleStore()')
  return createTransactional<Tx>(
    settings,
    throughTransactions<Tx>((run) => db.transaction(run), queryOf),
  )
}

/** Some of its drivers answer with rows, some with an object that has them. */
function queryOf(tx: object): Query {
  const { execute } = tx as { execute(query: string): Promise<readonly Row[] | { readonly rows: readonly Row[] }> }
  return async (text, values) => {
    const answer = await execute.call(tx, inline(text, values))
    return 'rows' in answer ? answer.rows : answer
  }
}
