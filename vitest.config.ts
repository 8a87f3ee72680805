import { globSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import summary from './scripts/summary-reporter.mjs'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

// Tests see every package's sources, not its last build: one copy of each module, however it is imported.
const sources = globSync(['{packages,adapters}/*/package.json', 'scripts/brokers/package.json'], {
  cwd: path('.'),
}).map((file) => ({
  find: new RegExp(`^${(JSON.parse(readFileSync(path(file), 'utf8')) as { name: string }).name}$`),
  replacement: path(`${dirname(file)}/src/index.ts`),
}))

export default defineConfig({
  resolve: { alias: sources },
  test: {
    include: [
      'test/**/*.test.ts',
      '{packages,adapters,examples}/*/test/**/*.test.ts',
      '{bench,scripts/brokers,scripts/chaos}/test/**/*.test.ts',
    ],
    // Brokers that tests start end with the run.
    globalSetup: ['scripts/brokers/src/vitest-setup.ts'],
    // Tests on brokers mostly wait: one process would leave a core idle.
    maxWorkers: 2,
    // A bound for what hangs, with room for two busy cores; no test is about how long it takes.
    testTimeout: 30_000,
    // Conformance cases are concurrent, and mostly wait too. As many as the harnesses say: with 16 a Kafka on a busy machine took
    // longer to answer than the cases' own deadlines.
    maxConcurrency: 4,
    reporters: ['default', summary],
  },
})
