// The command, as npm run chaos has it: the built program, with the Node that the packages bring along.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeBroker } from '@polybus/brokers'
import { expect, test } from 'vitest'

/** It gives up by itself: five minutes after the last purchase, where they do not end. */
const LIMIT_MS = 420_000
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const chaos = (options: readonly string[], env: Record<string, string> = {}) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = execFile(
      path('../../../node_modules/.bin/node'),
      [path('../dist/main.js'), ...options],
      { timeout: LIMIT_MS, env: { ...process.env, ...env } },
      (_error, out, err) => resolve({ code: child.exitCode, out, err }),
    )
  })
const lastLine = (out: string) => JSON.parse(out.trimEnd().split('\n').at(-1)!) as Record<string, unknown>

test('--help shows every option and examples, and ends with 0', async () => {
  const { code, out } = await chaos(['--help'])
  for (const option of [
    'broker',
    'store',
    'minutes',
    'seed',
    'processes',
    'publishers',
    'rate',
    'dry-run',
    'report',
    'json',
  ])
    expect(out).toContain(`--${option} `)
  expect(out).toContain('npm run chaos -- --broker kafka: --store postgres --minutes 2')
  expect(code).toBe(0)
})

test('--dry-run prints the seed and its schedule, the same each time, and does nothing', async () => {
  const options = ['--broker', 'kafka:', '--store', 'postgres', '--seed', '42', '--dry-run', '--json']
  const [first, again] = await Promise.all([chaos(options), chaos(options)])
  expect(first).toEqual(again)
  expect(first.out).toContain('seed 42')
  expect(first.out).toMatch(/ s {2}broker killed, started again, \d\.\d s/)
  expect(lastLine(first.out)).toMatchObject({ seed: 42, schedule: expect.arrayContaining([expect.any(Object)]) })
  expect(first.code).toBe(0)
})

const usual = ['--broker', 'kafka:', '--store', 'postgres']
test.each([
  [['--store', 'postgres'], /--broker: which one\?/],
  [['--broker', 'kafka:'], /--store: expected postgres, sqlite, redis, got nothing/],
  [['--broker', 'kafka:', '--store', 'mysql'], /--store: .* got 'mysql'/],
  [['--broker', 'memory:', '--store', 'postgres'], /memory: lives in one process/],
  [['--broker', 'nats:', '--store', 'postgres'], /--broker: expected a URL/],
  [['--broker', 'amqps://user:hunter2@shop', '--store', 'postgres'], /--broker amqps:/],
  [['--broker', 'sqs://eu-west-1', '--store', 'postgres'], /connections to AWS cannot be cut/],
  [['--broker', 'redis:?leaseMs=5', '--store', 'postgres'], /--broker redis: without a host/],
  [[...usual, '--minutes', 'two'], /--minutes: .* 'two'/],
  [[...usual, '--minutes', '0'], /--minutes/],
  [[...usual, '--seed', '-1'], /--seed/],
  [[...usual, '--seed=-1'], /--seed: expected a whole number/],
  [[...usual, '--processes', '0'], /--processes/],
  [[...usual, '--rate', '1.5'], /--rate/],
  [[...usual, '--sed', '5'], /--sed/],
  [[...usual, 'twice'], /twice/],
])('what is wrong in %j is said in a line or two, and ends with 2', async (options, names) => {
  const { code, out, err } = await chaos(options)
  expect(err).toMatch(names)
  expect(err).not.toMatch(/^ {4}at /m)
  expect(err).not.toContain('hunter2')
  expect(out).toBe('')
  expect(code).toBe(2)
})

// They bring up servers of their own; this only says whether such can be had.
await describeBroker('redis', () => {
  const run = [
    '--broker',
    'redis:',
    '--store',
    'sqlite',
    '--minutes',
    '0.15',
    '--processes',
    '2',
    '--seed',
    '3',
    '--json',
  ]

  test(
    'redis: killed, cut and locked out it still gives every purchase one effect, and an account of it',
    { timeout: LIMIT_MS + 10_000 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'polybus-chaos-test-'))
      const report = join(folder, 'report.md')
      try {
        const { code, out, err } = await chaos([...run, '--report', report])
        expect(err).toBe('')
        const summary = lastLine(out)
        expect(summary).toMatchObject({
          broker: 'redis:',
          store: 'sqlite',
          seed: 3,
          lost: 0,
          double_effects: 0,
          order_violations: 0,
          problems: [],
        })
        expect(summary['published']).toBeGreaterThan(0)
        expect(summary['effects']).toBe(summary['published'])
        expect(summary['duplicates_absorbed']).toEqual(expect.any(Number))
        expect(out).toMatch(/^lost +0$/m)
        expect(code).toBe(0)
        const text = readFileSync(report, 'utf8')
        expect(text).toMatch(/^# Chaos of \d{4}-\d\d-\d\d\n/)
        expect(text).toContain('## redis: with sqlite, seed 3: every promise held')
        expect(text).toContain('--broker redis: --store sqlite --minutes 0.15 --seed 3')
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  )

  test(
    'redis: a handler that forgets a charge, one that charges twice and one that is late are seen',
    { timeout: LIMIT_MS + 10_000 },
    async () => {
      // A run that fails keeps what its processes said.
      const folder = mkdtempSync(join(tmpdir(), 'polybus-chaos-test-'))
      try {
        const { code, out } = await chaos(run, { CHAOS_SABOTAGE: '1', TMPDIR: folder })
        expect(lastLine(out)).toMatchObject({ ok: false, lost: 1, double_effects: 1, order_violations: 1 })
        expect(out).toMatch(/^lost +1: 50$/m)
        expect(out).toMatch(/^double effects +1: 51$/m)
        expect(code).toBe(1)
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  )
})
