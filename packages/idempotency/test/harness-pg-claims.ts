import { Pool } from 'pg'
import { pgClaimStore } from '../src/index.ts'
import { postgresHarness } from './postgres.ts'

const { name, kind, parks, prepare, open, rows, fill, server, cleanup } = postgresHarness(
  'pg-claims',
  'claim',
  (connectionString) => {
    const pool = new Pool({ connectionString })
    return { store: (options) => pgClaimStore(pool, options), close: () => pool.end() }
  },
)
export { name, kind, parks, prepare, open, rows, fill, server, cleanup }
