import { sqliteClaimStore } from '../src/index.ts'
import { sqliteHarness } from './sqlite-files.ts'

const { name, kind, parks, prepare, open, rows, fill, cleanup } = sqliteHarness(
  'sqlite-claims',
  'claim',
  sqliteClaimStore,
)
export { name, kind, parks, prepare, open, rows, fill, cleanup }
