import { expect, test } from 'vitest'
import { countOf, rowOf } from '../src/latency.ts'

test('ratios are of rounds, Polybus to raw', () => {
  const delays = (p99: number) => ({ p50: p99 / 10, p99, late: 0.1 })
  const row = rowOf({ part: 0.5, rate: 1000, count: 5000 }, [
    { name: 'raw naive', rounds: [10, 20, 40].map(delays) },
    { name: 'polybus', rounds: [15, 20, 120].map(delays) },
  ])
  expect(row.p99).toMatchObject({ median: 1.5, low: 1, high: 3 })
  expect(row.p50).toMatchObject({ median: 1.5, low: 1, high: 3 })
  expect(row.sides.map(({ name, p99 }) => [name, p99])).toEqual([
    ['raw naive', 20],
    ['polybus', 20],
  ])
})

test('a low rate is given more time, so that there is something to take a p99 of', () => {
  expect(countOf(1000, 5)).toBe(5000)
  expect(countOf(3, 5)).toBe(300)
})
