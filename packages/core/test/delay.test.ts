import { describe, expect, test } from 'vitest'
import type { Capabilities } from '../src/adapter.ts'
import { heldBelowMs, LADDER_MS, nextHop } from '../src/consume/delay.ts'

const ladder: Capabilities['delay'] = { kind: 'ladder' }

/** All hops of a delay until what remains is held; the sum counts both. */
function walk(ms: number, delay: Capabilities['delay']): { total: number; hops: number[]; held: number } {
  const hops: number[] = []
  let rest = ms
  for (let hop = nextHop(rest, delay); hop && rest > 0; hop = nextHop(rest, delay)) {
    hops.push(hop.delayMs)
    rest = hop.restMs
    if (hops.length > 10_000) throw new Error('never ends')
  }
  return { total: hops.reduce((sum, hop) => sum + hop, 0) + rest, hops, held: rest }
}

describe('the ladder', () => {
  test('every delay ends at its time, rounded up, by rungs that only get smaller', () => {
    let seed = 99
    const random = (): number => (seed = (seed * 16807) % 2147483647)
    const delays = [
      0, 0.5, 1, 999, 1000, 1001, 1999.5, 9999, 10_000, 59_999, 60_000, 61_500, 600_000, 3_599_999, 86_400_000,
    ]
    for (let index = 0; index < 2000; index++) delays.push(random() % 10 ** (1 + (index % 8)))
    for (const ms of delays) {
      const { total, hops, held } = walk(ms, ladder)
      expect(total).toBeGreaterThanOrEqual(ms)
      expect(total).toBeLessThan(ms + 1)
      expect(held).toBeLessThan(1000)
      expect(hops).toEqual([...hops].sort((a, b) => b - a))
      for (const hop of hops) expect(LADDER_MS).toContain(hop)
    }
  })
  test('takes the largest rung that fits, and holds what is below the shortest', () => {
    expect(nextHop(75_250, ladder)).toEqual({ delayMs: 60_000, restMs: 15_250 })
    expect(nextHop(999, ladder)).toBeUndefined()
    expect(heldBelowMs(ladder)).toBe(1000)
    expect([...LADDER_MS]).toEqual([600_000, 60_000, 10_000, 1000])
  })
})

test('exact delays go in hops where the broker has a limit', () => {
  const sqs: Capabilities['delay'] = { kind: 'exact', maxMs: 900_000 }
  expect(nextHop(5.2, sqs)).toEqual({ delayMs: 6, restMs: 0 })
  expect(walk(3_600_000, sqs)).toMatchObject({ hops: [900_000, 900_000, 900_000, 900_000], total: 3_600_000 })
  expect(heldBelowMs(sqs)).toBe(0)
  expect(heldBelowMs({ ...sqs, stepMs: 1000 })).toBe(1000)
})

test('without delays everything is held', () => {
  expect(nextHop(1_000_000, { kind: 'none' })).toBeUndefined()
  expect(heldBelowMs({ kind: 'none' })).toBe(Infinity)
})
