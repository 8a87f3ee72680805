import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { drizzleStore } from '../src/index.ts'
import { listenedPool, postgresHarness } from './postgres.ts'

type Tx = Parameters<Parameters<ReturnType<typeof drizzle>['transaction']>[0]>[0]

const { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup } = postgresHarness(
  'drizzle',
  'transactional',
  (connectionString) => {
    const pool = listenedPool(connectionString)
    const db = drizzle({ client: pool })
    return {
      store: (options) => drizzleStore(db, options),
      write: async (tx, table, text) =>
        void (await (tx as Tx).execute(sql`insert into ${sql.identifier(table)} (effect) values (${text})`)),
      say: async (tx, statement) => void (await (tx as Tx).execute(sql.raw(statement))),
      close: () => pool.end(),
    }
  },
)
export { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup }
