import { expect, test } from 'vitest'
import { percentile } from '../src/percentile.ts'

const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)

test('a percentile is a value that was measured: the smallest that so many do not exceed', () => {
  expect(percentile(hundred, 50)).toBe(50)
  expect(percentile(hundred, 99)).toBe(99)
  expect(percentile(hundred, 100)).toBe(100)
  expect(percentile([3, 1, 2], 50)).toBe(2)
  expect(percentile([7], 99)).toBe(7)
})

test('what is given stays in its order', () => {
  const values = Float64Array.of(10, 9, 1)
  expect(percentile(values, 50)).toBe(9)
  expect([...values]).toEqual([10, 9, 1])
})

test('of nothing there is none', () => {
  expect(percentile([], 50)).toBeNaN()
})
