import { expect, test } from 'vitest'
import { pairedRatio, rankOf } from '../src/paired.ts'

test('of nine rounds the interval goes from the second to the eighth ratio', () => {
  const { rank, confidence } = rankOf(9)
  expect(rank).toBe(2)
  expect(confidence).toBeCloseTo(0.961, 3)
  const own = [9, 1, 8, 2, 7, 3, 6, 4, 5]
  const base = own.map(() => 10)
  expect(pairedRatio(own, base)).toEqual({ median: 0.5, low: 0.2, high: 0.8, confidence })
})

test('the intervals are those of the tables of the sign test', () => {
  const ranks = [6, 8, 9, 11, 12, 15, 17, 20, 25].map((count) => rankOf(count).rank)
  expect(ranks).toEqual([1, 1, 2, 2, 3, 4, 5, 6, 8])
})

test('too few rounds have the widest interval, and say what it is worth', () => {
  expect(rankOf(1)).toEqual({ rank: 1, confidence: 0 })
  expect(rankOf(3)).toEqual({ rank: 1, confidence: 0.75 })
  expect(pairedRatio([1, 2, 6], [2, 2, 2])).toEqual({ median: 1, low: 0.5, high: 3, confidence: 0.75 })
})

test('rounds are paired: a slow machine slows both', () => {
  const speed = [1, 0.2, 1.7, 0.5, 1, 3, 0.1, 1, 1]
  const { median, low, high } = pairedRatio(
    speed.map((factor) => 90 * factor),
    speed.map((factor) => 100 * factor),
  )
  for (const value of [median, low, high]) expect(value).toBeCloseTo(0.9, 12)
})

test('rounds that do not pair are refused', () => {
  expect(() => pairedRatio([1, 2], [1])).toThrow('as many rounds')
  expect(() => pairedRatio([], [])).toThrow('as many rounds')
})
