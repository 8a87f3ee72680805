import { Pool, type PoolClient } from 'pg'
import { pgStore } from '../src/index.ts'
import { postgresHarness } from './postgres.ts'

const { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup } = postgresHarness(
  'pg',
  'transactional',
  (connectionString) => {
    const pool = new Pool({ connectionString })
    return {
      store: (options) => pgStore(pool, options),
      write: async (tx, table, text) =>
        void (await (tx as PoolClient).query(`insert into ${table} (effect) values ($1)`, [text])),
      say: async (tx, statement) => void (await (tx as PoolClient).query(statement)),
      close: () => pool.end(),
    }
  },
)
export { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup }
