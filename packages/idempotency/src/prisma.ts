// Postgres through Prisma.
import { checkClient, databaseSettings, type DatabaseStoreOptions } from './options.ts'
import type { Query, Row } from './postgres/query.ts'
import { throughTransactions } from './postgres/through.ts'
import { createTransactional } from './postgres/transactions.ts'
import type { DatabaseStore } from './transaction.ts'

/** As much of Prisma's client as the store uses. */
export interface PrismaDatabase<Tx> {
  $transaction<T>(
    run: (tx: Tx) => Promise<T>,
    options?: { readonly timeout?: number; readonly maxWait?: number },
  ): Promise<T>
}

/** Prisma would end a transaction after 5 s; the handler's own time-out ends it where it should. */
const LONGEST_MS = 3_600_000

/**
 * As {@link pgStore}, through Prisma on Postgres: `tx` is the client of an interactive transaction, with your models.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const charge = consumer(orders, 'charge', {
 *   idempotency: prismaStore(prisma),
 *   async handler(order, { tx }) {
 *     await tx.charge.create({ data: { id: order.id, cents: order.cents } })
 *   },
 * })
 */
export function prismaStore<Tx extends object>(
  client: PrismaDatabase<Tx>,
  options: DatabaseStoreOptions = {},
): DatabaseStore<Tx> {
  const settings = databaseSettings(options, 'prismaStore()')
  checkClient(client, ['$transaction'], 'prismaStore()')
  const times = { timeout: LONGEST_MS, maxWait: settings.timeoutMs }
  return createTransactional<Tx>(
    settings,
    throughTransactions<Tx>((run) => client.$transaction(run, times), queryOf),
  )
}

function queryOf(tx: object): Query {
  const { $queryRawUnsafe } = tx as {
    $queryRawUnsafe(query: string, ...values: readonly unknown[]): Promise<readonly Row[]>
  }
  return (text, values = []) => $queryRawUnsafe.call(tx, text, ...values)
}
