// What a test run says of brokers that it has, and of those that it cannot have.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeBroker } from '@polybus/brokers'
import { expect, test } from 'vitest'
import { requiredBrokers } from '../src/required.ts'
import { type Ended, node } from './child.ts'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

/** A whole test run of its own, with its own cache, which `look` sees after the end. */
async function testRun(more: NodeJS.ProcessEnv, look: (cache: string) => void = () => {}): Promise<Ended> {
  const folder = mkdtempSync(join(tmpdir(), 'polybus-none-'))
  const { POLYBUS_TEST_RUN: _run, POLYBUS_REQUIRE: _require, VITEST: _vitest, ...env } = process.env
  try {
    const ended = await node(
      [path('../../../node_modules/vitest/vitest.mjs'), 'run', '--config', path('./fixtures/vitest.config.ts')],
      { ...env, XDG_CACHE_HOME: folder, ...more },
    )
    look(join(folder, 'polybus'))
    return ended
  } finally {
    rmSync(folder, { recursive: true })
  }
}

// Its folder is not on PATH, and there is nothing to install with.
const withoutRedis = (more: NodeJS.ProcessEnv): Promise<Ended> => testRun({ ...more, PATH: '/nowhere' })

test(
  'where a broker cannot be had, its tests are skipped and the reason is named at the end',
  { timeout: 30_000 },
  async () => {
    const { code, out } = await withoutRedis({})
    expect(out).toMatch(/^2 left out: NOT TESTED on Redis\. redis: .*redis-server/m)
    expect(out).toMatch(/^1 passed, 0 failed, 2 skipped\n$/m)
    expect(code).toBe(0)
  },
)

test('where it is required, they fail', { timeout: 30_000 }, async () => {
  const { code, out } = await withoutRedis({ POLYBUS_REQUIRE: 'redis' })
  expect(out).toMatch(/^failed: needs-redis\.ts, on Redis > more > two: .*redis-server/m)
  expect(out).toMatch(/^1 passed, 2 failed\n$/m)
  expect(code).toBe(1)
})

test('where it is required, the set-up of all tests already ends the run', { timeout: 30_000 }, async () => {
  const { code, out, err } = await withoutRedis({ POLYBUS_REQUIRE: 'redis', SETUP: path('../src/vitest-setup.ts') })
  expect(out + err).toContain('redis')
  expect(out).toMatch(/^0 passed, 1 failed\n$/m)
  expect(code).toBe(1)
})

await describeBroker('redis', () => {
  test('redis: a test run starts what its tests need, and leaves nothing but logs', { timeout: 30_000 }, async () => {
    const { code, out } = await testRun({ SETUP: path('../src/vitest-setup.ts') }, (cache) => {
      expect(readdirSync(join(cache, 'brokers'))).toEqual([])
      expect(readdirSync(join(cache, 'brokers-logs'))).toEqual([expect.stringMatching(/^run-\d+-\w+-tests-redis$/)])
    })
    expect(out).toMatch(/^3 passed, 0 failed\n$/m)
    expect(code).toBe(0)
  })
})

test.each([
  [undefined, []],
  ['', []],
  ['redis', ['redis']],
  [' redis, rabbitmq,redis,', ['redis', 'rabbitmq']],
])('POLYBUS_REQUIRE=%j requires %j', (text, names) => {
  expect(requiredBrokers({ POLYBUS_REQUIRE: text })).toEqual(names)
})

test('POLYBUS_REQUIRE with a name that is none says so', () => {
  expect(() => requiredBrokers({ POLYBUS_REQUIRE: 'redis,rabbit' })).toThrow(
    'POLYBUS_REQUIRE: unknown broker rabbit. Known: redis, rabbitmq',
  )
})
