import { sqliteStore } from '../src/index.ts'
import { sqliteHarness } from './sqlite-files.ts'

const { name, kind, parks, prepare, open, effects, rows, fill, cleanup } = sqliteHarness(
  'sqlite',
  'transactional',
  sqliteStore,
)
export { name, kind, parks, prepare, open, effects, rows, fill, cleanup }
