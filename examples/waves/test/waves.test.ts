// The program as a user runs it: in memory, and on every broker with and without a schema registry.
import { type BrokerName, describeBroker, startBroker } from '@polybus/brokers'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const MAIN = join(import.meta.dirname, '../dist/main.js')
const LIMIT_MS = 120_000

const waves = async (...words: readonly string[]): Promise<unknown> => {
  const { stdout } = await run(process.execPath, [MAIN, '--json', ...words], { timeout: LIMIT_MS })
  return JSON.parse(stdout)
}
const price = (sku: string, cents: number, currency = 'EUR'): object => ({ sku, cents, currency })
const expected = {
  seen: [
    { wave: 'before: v1 publishes, v1 consumes', consumer: 'v1', value: { sku: 'apple', euros: 0.5 } },
    ...[
      ['first wave: v1 publishes, v2 consumes', price('apple', 55)],
      ['first wave: v1 publishes, v2 consumes', price('pear', 120)],
      ['second wave: v1 and v2 publish, v2 consumes', price('pear', 130)],
      ['second wave: v1 and v2 publish, v2 consumes', price('plum', 200)],
      ['after: v2 publishes, v2 consumes', price('plum', 210, 'CHF')],
    ].map(([wave, value]) => ({ wave, consumer: 'v2', value })),
  ],
  deadLetters: 0,
}
/** Two keys of one wave have no order. */
const sorted = (result: unknown): unknown => {
  const { seen, deadLetters } = result as typeof expected
  return { seen: seen.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)), deadLetters }
}

test('memory', async () => {
  expect(sorted(await waves())).toEqual(sorted(expected))
})
for (const name of ['redis', 'rabbitmq', 'kafka', 'sqs'] satisfies BrokerName[])
  await describeBroker(name, (broker) => {
    test(`${name}: as JSON`, { timeout: LIMIT_MS }, async () => {
      expect(sorted(await waves('--broker', broker().url))).toEqual(sorted(expected))
    })
    test(`${name}: as Avro, by a registry`, { timeout: LIMIT_MS }, async () => {
      const { url } = await startBroker('registry', { instance: 'frames' })
      expect(sorted(await waves('--broker', broker().url, '--registry', url))).toEqual(sorted(expected))
    })
  })
test('--help has examples; a wrong broker is one line', async () => {
  const { stdout } = await run(process.execPath, [MAIN, '--help'])
  expect(stdout).toContain('Examples')
  await expect(run(process.execPath, [MAIN, '--broker', 'kfka://x'])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^[^\n]*Did you mean 'kafka:'\?[^\n]*\n$/),
  })
})
