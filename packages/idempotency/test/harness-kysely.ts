import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import { kyselyStore } from '../src/index.ts'
import { listenedPool, postgresHarness } from './postgres.ts'

type Database = Record<string, { effect: string }>

const { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup } = postgresHarness(
  'kysely',
  'transactional',
  (connectionString) => {
    const pool = listenedPool(connectionString)
    const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
    return {
      store: (options) => kyselyStore(db, options),
      write: async (tx, table, text) =>
        void (await (tx as Transaction<Database>).insertInto(table).values({ effect: text }).execute()),
      say: async (tx, statement) => void (await sql.raw(statement).execute(tx as Transaction<Database>)),
      close: () => db.destroy(),
    }
  },
)
export { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup }
