import type { Client, Query } from './query.ts'

/** A client that is asked for everything by its way of running a transaction. */
export function throughTransactions<Tx extends object>(
  transaction: <T>(run: (tx: Tx) => Promise<T>) => Promise<T>,
  queryOf: (tx: Tx) => Query,
): Client<Tx> {
  return {
    refusesOwnEnd: false,
    queryOf,
    statement: (text, values) => transaction((tx) => queryOf(tx)(text, values)),
    transaction: (run) =>
      transaction(async (tx) => {
        const query = queryOf(tx)
        const { value, last } = await run(tx, query)
        if (last !== undefined) await query(last)
        return value
      }),
  }
}
