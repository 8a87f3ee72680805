import { expect, test } from 'vitest'
import { isoOf } from '../src/iso-times.ts'

test('every time is written as Date writes it', () => {
  const times = [0, 7, 42, 999, 1000, -1, -1000, -62_135_596_800_001, 8.64e15, 1.5, 1_767_312_000_123]
  for (const time of times) expect(isoOf(time)).toBe(new Date(time).toISOString())
  for (const wrong of [NaN, Infinity, 9e15]) expect(() => isoOf(wrong)).toThrow(RangeError)
})

test('each time is written as itself, whatever was written before', () => {
  const at = Date.UTC(2026, 0, 2)
  expect([0, 0, 1, 0, -1].map((more) => isoOf(at + more))).toEqual([
    '2026-01-02T00:00:00.000Z',
    '2026-01-02T00:00:00.000Z',
    '2026-01-02T00:00:00.001Z',
    '2026-01-02T00:00:00.000Z',
    '2026-01-01T23:59:59.999Z',
  ])
})
