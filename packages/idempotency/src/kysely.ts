// Postgres through Kysely.
import { checkClient, databaseSettings, type DatabaseStoreOptions } from './options.ts'
import type { Query, Row } from './postgres/query.ts'
import { throughTransactions } from './postgres/through.ts'
import { createTransactional } from './postgres/transactions.ts'
import type { DatabaseStore } from './transaction.ts'

/** As much of `Kysely` as the store uses. */
export interface KyselyDatabase<Tx> {
  transaction(): { execute<T>(run: (tx: Tx) => Promise<T>): Promise<T> }
}

/**
 * As {@link pgStore}, through Kysely on Postgres: `tx` is Kysely's `Transaction`, with the types of your database.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const charge = consumer(orders, 'charge', {
 *   idempotency: kyselyStore(db),
 *   async handler(order, { tx }) {
 *     await tx.insertInto('charges').values({ id: order.id, cents: order.cents }).execute()
 *   },
 * })
 */
export function kyselyStore<Tx extends object>(
  db: KyselyDatabase<Tx>,
  options: DatabaseStoreOptions = {},
): DatabaseStore<Tx> {
  const settings = databaseSettings(options, 'kyselyStore()')
  checkClient(db, ['transaction', 'executeQuery'], 'kyselyStore()')
  return createTransactional<Tx>(
    settings,
    throughTransactions<Tx>((run) => db.transaction().execute(run), queryOf),
  )
}

/** What `CompiledQuery.raw` of Kysely makes. */
function queryOf(tx: object): Query {
  const { executeQuery } = tx as { executeQuery(query: object): Promise<{ readonly rows: readonly Row[] }> }
  return async (sql, parameters = []) => {
    const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] }
    const { rows } = await executeQuery.call(tx, { sql, parameters, query, queryId: { queryId: 'polybus' } })
    return rows
  }
}
