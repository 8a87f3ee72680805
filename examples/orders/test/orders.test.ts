import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

// As `npm start` runs it: the built program, with the Node that the packages bring along.
const start = (...options: string[]) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = execFile(
      path('../../../node_modules/.bin/node'),
      [path('../dist/main.js'), ...options],
      { timeout: 60_000 },
      (_error, out, err) => resolve({ code: child.exitCode, out, err }),
    )
  })

/** What the file says, read by a pattern of its own. */
function firstByDate(count: number) {
  const text = gunzipSync(readFileSync(path('../data/CDNOW_master.txt.gz'))).toString()
  const lines = Array.from(
    text.matchAll(/^ (\d{5}) (\d{8}) +\d+ +(\d+)\.(\d\d)\r$/gm),
    ([, , date, whole, part], index) => ({
      number: index + 2,
      date: date!,
      cents: Number(whole) * 100 + Number(part),
    }),
  )
  expect(lines).toHaveLength(69_659)
  expect(lines.reduce((sum, { cents }) => sum + cents, 0)).toBe(250_031_563)
  return lines.toSorted((a, b) => a.date.localeCompare(b.date) || a.number - b.number).slice(0, count)
}

test(
  'memory: 2,000 orders are charged to the cent, each once and in order, and none is lost',
  { timeout: 60_000 },
  async () => {
    const expected = firstByDate(2000)
    const repeated = expected.filter(({ number }) => number % 100 === 7).length
    const declined = expected.filter(({ number }) => number % 1000 === 400).length
    expect([repeated, declined].every((count) => count > 0)).toBe(true)

    const { code, out, err } = await start('--orders', '2000', '--json')
    expect(err).toBe('')
    expect(JSON.parse(out.trimEnd().split('\n').at(-1)!)).toMatchObject({
      orders: 2000,
      charged_cents: expected.reduce((sum, { cents }) => sum + cents, 0),
      duplicates_absorbed: repeated,
      dead_letters: 6 * 3 + declined,
      replayed: declined,
      order_violations: 0,
      lost: 0,
      ok: true,
    })
    expect(code).toBe(0)
  },
)

test(
  'memory: the report has a row for every group, the declined charges, and what held',
  { timeout: 60_000 },
  async () => {
    const { code, out } = await start('--orders', '600')
    for (const group of ['charge', 'inventory', 'email', 'warehouse', 'analytics', 'fraud'])
      expect(out).toMatch(new RegExp(`^${group} `, 'm'))
    expect(out).toContain('CardDeclined')
    expect(out).toMatch(/the publish alone +p50 .*p99/)
    expect(out.match(/^ok /gm)).toHaveLength(3)
    expect(out).not.toContain('FAIL')
    expect(code).toBe(0)
  },
)

test('--help shows every option and an example, and ends with 0', async () => {
  const { code, out } = await start('--help')
  for (const option of ['--broker', '--orders', '--json', '--help', 'npm start -- --orders'])
    expect(out).toContain(option)
  expect(code).toBe(0)
})

test.each([
  [['--oders', '5'], /--oders/],
  [['--orders', '0'], /--orders/],
  [['--orders', '1.5'], /--orders/],
  [['--orders'], /--orders/],
  [['5000'], /5000/],
  [['--broker', 'rabbit://user:hunter2@shop'], /amqp/],
])('what is wrong in %j is said in a line or two, and ends with 2', async (options, names) => {
  const { code, out, err } = await start(...options)
  expect(err).toMatch(names)
  expect(err).not.toMatch(/^ {4}at /m)
  expect(err).not.toContain('hunter2')
  expect(out).toBe('')
  expect(code).toBe(2)
})
