// Deletes everything that a build or a test run makes; node_modules stays.
import { globSync, rmSync } from 'node:fs'

for (const path of globSync([
  '{packages,adapters,examples}/*/dist',
  '{bench,scripts/brokers}/dist',
  'coverage',
  '.cache',
])) {
  rmSync(path, { recursive: true, force: true })
}
