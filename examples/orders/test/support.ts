import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { expect } from 'vitest'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/** As `npm start` runs it: the built program, with the Node that the packages bring along. */
export const start = (...options: string[]) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = execFile(
      path('../../../node_modules/.bin/node'),
      [path('../dist/main.js'), ...options],
      { timeout: 280_000 },
      (_error, out, err) => resolve({ code: child.exitCode, out, err }),
    )
  })

export const lastLine = (out: string) => JSON.parse(out.trimEnd().split('\n').at(-1)!) as unknown

/** What the file says, read by a pattern of its own. */
export function firstByDate(count: number) {
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

/** What `--json` must say of the first orders, on any broker. */
export function expectedOf(orders: number): object {
  const expected = firstByDate(orders)
  const repeated = expected.filter(({ number }) => number % 100 === 7).length
  const declined = expected.filter(({ number }) => number % 1000 === 400).length
  expect([repeated, declined].every((count) => count > 0)).toBe(true)
  return {
    orders,
    charged_cents: expected.reduce((sum, { cents }) => sum + cents, 0),
    duplicates_absorbed: repeated,
    dead_letters: 6 * 3 + declined,
    replayed: declined,
    order_violations: 0,
    lost: 0,
    repeated_effects: 0,
    ok: true,
  }
}
