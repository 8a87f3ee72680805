import type { Client, Query } from './query.ts'

/** A client that is asked for everything by its way of running a transaction. */
export function throughTransactions<Tx extends object>(
  transaction: <T>(run: (tx: Tx) => Promise<T>) => Promise<T>,
  queryOf: (tx: Tx) => Query,
): Client<Tx> {
  return {
    seesRollback: false,
    queryOf,
    statement: (text, values) => transaction((tx) => queryOf(tx)(text, values)),
    transaction: (run) => transaction((tx) => run(tx, queryOf(tx))),
  }
}
