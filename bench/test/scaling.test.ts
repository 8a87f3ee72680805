import { expect, test } from 'vitest'
import { isShared, rowsOf } from '../src/scaling.ts'

test('lanes are shared when nobody has nearly all of them; one lane cannot be', () => {
  expect(isShared([50, 50], 8)).toBe(true)
  expect(isShared([75, 25], 4)).toBe(true)
  expect(isShared([100, 0], 8)).toBe(false)
  expect(isShared([0, 100], 'keyed')).toBe(false)
  expect(isShared([100, 0], 1)).toBe(true)
  expect(isShared([100, 0], 'no key')).toBe(true)
  expect(isShared([100], 8)).toBe(true)
})

test('more processes are compared with one of the same lanes, round by round', () => {
  const config = (lanes: number, processes: number) => ({ lanes, processes, channel: `c-${lanes}` })
  const configs = [config(1, 1), config(1, 2), config(8, 1), config(8, 2)]
  const runs = (...rates: number[]) => rates.map((perSecond) => ({ perSecond, busiest: 0.5, again: 1 }))
  const rates = [runs(10, 20), runs(10, 20), runs(100, 50), runs(180, 95)]
  const rows = rowsOf(configs, new Map(configs.map((each, index) => [each, rates[index] ?? []])))
  expect(rows.map(({ ratio }) => ratio?.median)).toEqual([undefined, 1, undefined, 1.85])
  expect(rows[3]).toMatchObject({ median: 137.5, lowest: 95, highest: 180, busiest: 0.5, again: 2 })
})
