// What claim stores and transactional ones on Postgres share: their tables, forgetting, cleaning, and how long they wait.
import type { TransactionalParking } from '@polybus/core'
import { type Cleaner, createCleaner } from '../cleaner.ts'
import { createParking } from '../database-parking.ts'
import { storedPrefix } from '../keys.ts'
import { limited, unavailable } from '../limit.ts'
import type { DatabaseSettings } from '../options.ts'
import { type Client, isMissingTable, type Query, type Row, type Value } from './query.ts'
import { createTables } from './schema.ts'

export interface Work<Tx> {
  /** A statement of the store's own, with the tables there, within its limit. Throws errors of ours alone. */
  do(text: string, values: readonly Value[]): Promise<readonly Row[]>
  /** As `do`, several of them in one transaction. */
  together<T>(run: (query: Query) => Promise<T>): Promise<T>
  /** Rejects where the tables are missing and may not be created. */
  ready(): Promise<void>
  /** What a failed statement has said, as an error of ours. */
  explain(error: unknown): Error
  forget(prefix: string): Promise<void>
  readonly parking: TransactionalParking<Tx>
  readonly cleaner: Cleaner
}

/** So few at a time that nobody waits for it. */
const FORGET_AT_ONCE = 5000

export function createWork<Tx>(settings: DatabaseSettings, client: Client<Tx>): Work<Tx> {
  const { table, ttlMs, clock, timeoutMs, create } = settings
  const statement: Query = (text, values = []) =>
    limited(clock, timeoutMs, ({ signal }) => client.statement(text, values, signal))
  const transaction = <T>(run: (query: Query) => Promise<T>): Promise<T> =>
    limited(clock, timeoutMs, ({ signal }) =>
      client.transaction(async (_, query) => ({ value: await run(query) }), signal),
    )
  const tables = createTables({ table, create, statement, transaction })

  const explain = (error: unknown): Error => {
    if (isMissingTable(error)) tables.lost()
    return unavailable(error)
  }
  const explained = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      await tables.ready()
      return await run()
    } catch (error) {
      throw explain(error)
    }
  }
  const deleted = async (keys: string, values: readonly Value[]): Promise<number> => {
    const [row] = await work.do(
      `with gone as (delete from ${table} where key in (${keys}) returning 1) select count(*)::int as count from gone`,
      values,
    )
    return Number(row?.['count'])
  }
  const work: Work<Tx> = {
    do: (text, values) => explained(() => statement(text, values)),
    together: (run) => explained(() => transaction(run)),
    ready: () => explained(() => Promise.resolve()),
    explain,
    parking: createParking<Tx>({
      table,
      durable: true,
      statement: (text, values = []) => work.do(text, values),
      together: (run) => work.together(run),
      queryOf: (tx) => client.queryOf(tx),
      lock: ' for update',
      begins: (column) => `${column} >= $1 and starts_with(${column}, $1)`,
    }),
    async forget(prefix) {
      const begin = storedPrefix(prefix)
      const begins = `key >= $1 and starts_with(key, $1)`
      await work.do(`update ${table} set forgotten = true where fence is not null and ${begins}`, [begin])
      for (let count = FORGET_AT_ONCE; count === FORGET_AT_ONCE;)
        count = await deleted(`select key from ${table} where fence is null and ${begins} limit $2`, [
          begin,
          FORGET_AT_ONCE,
        ])
    },
    cleaner: createCleaner({
      clock: settings.idleClock,
      everyMs: settings.cleanEveryMs,
      onError: settings.onError,
      // A claim whose owner died stays for as long again, so that a late completion finds it.
      remove: (count) =>
        deleted(
          `select key from ${table} where until <= now() and (fence is null or until <= now() - $1 * interval '1 millisecond')
order by until limit $2 for update skip locked`,
          [ttlMs, count],
        ),
    }),
  }
  return work
}
