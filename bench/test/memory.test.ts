import { expect, test } from 'vitest'
import { lineThrough } from '../src/line.ts'
import { type Sample, trendOf } from '../src/memory.ts'

const samplesOf = (heap: (index: number) => number): readonly Sample[] =>
  Array.from({ length: 20 }, (_, index) => ({ messages: (index + 1) * 50_000, heap: heap(index), rss: 1e8 }))

test('least squares find the line, and the middle of what lies around it', () => {
  const { slope, mean } = lineThrough([
    [1, 3],
    [2, 5],
    [3, 7],
  ])
  expect(slope).toBeCloseTo(2, 12)
  expect(mean).toBe(5)
  // By hand: (-1 * -1 + 0 * 2 + 1 * -1) / 2 = 0.
  expect(
    lineThrough([
      [0, 0],
      [1, 3],
      [2, 0],
    ]).slope,
  ).toBe(0)
  expect(
    lineThrough([
      [0, 1],
      [1, 1],
      [2, 4],
    ]).slope,
  ).toBe(1.5)
  expect(lineThrough([[5, 9]])).toEqual({ slope: 0, mean: 9 })
})

test('only the second half counts: what a process takes once is no leak', () => {
  const { slope, flat } = trendOf(
    samplesOf((index) => (index < 10 ? 1e6 * index : 3e7)),
    'heap',
  )
  expect(slope).toBe(0)
  expect(flat).toBe(true)
})

test('a heap that grows by 8 bytes a message is not flat', () => {
  const trend = trendOf(
    samplesOf((index) => 3e7 + 8 * index * 50_000),
    'heap',
  )
  expect(trend.slope).toBeCloseTo(8, 9)
  expect(trend.rise).toBeCloseTo(8 * 450_000, 3)
  expect(trend.flat).toBe(false)
})

test('up to 5 % of its mean, or a MiB, it is flat; a fall is too', () => {
  const rising = (bytes: number, from: number) =>
    trendOf(
      samplesOf((index) => from + ((index - 10) * bytes) / 9),
      'heap',
    )
  expect(rising(2 ** 20 - 100, 1e7).flat).toBe(true)
  expect(rising(2 ** 20 + 100, 1e7).flat).toBe(false)
  expect(rising(4.9e6, 1e8).flat).toBe(true)
  expect(rising(5.4e6, 1e8).flat).toBe(false)
  expect(rising(-5e7, 1e8).flat).toBe(true)
})
