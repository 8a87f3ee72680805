import { expect, test } from 'vitest'
import { isoTimes } from '../src/iso-times.ts'

test('each time is written as itself, whatever was written before', () => {
  const iso = isoTimes()
  const at = Date.UTC(2026, 0, 2)
  expect([0, 0, 1, 0, -1].map((more) => iso(at + more))).toEqual([
    '2026-01-02T00:00:00.000Z',
    '2026-01-02T00:00:00.000Z',
    '2026-01-02T00:00:00.001Z',
    '2026-01-02T00:00:00.000Z',
    '2026-01-01T23:59:59.999Z',
  ])
})
