import { expect, test } from 'vitest'
import { createPrefetch } from '../src/consume/prefetch.ts'
import { manual } from './fake.ts'

test('grows while all that may be in flight is handled at once, up to its limit', async () => {
  const time = manual()
  const prefetch = createPrefetch(time.clock, 64, 200)
  const seen: number[] = []
  for (let round = 0; round < 4; round++) {
    for (let n = prefetch.now; n > 0; n--) prefetch.ended()
    seen.push(prefetch.now)
    await time.advance(10)
  }
  expect(seen).toEqual([128, 200, 200, 200])
})

test('stays where handlers are slow, and shrinks to where it was when they become so', async () => {
  const time = manual()
  const prefetch = createPrefetch(time.clock, 64, 256)
  const round = async (ms: number): Promise<number> => {
    const { now } = prefetch
    for (let n = 1; n < now; n++) prefetch.ended()
    await time.advance(ms)
    prefetch.ended()
    return prefetch.now
  }
  expect(await round(100)).toBe(64)
  expect(await round(1000)).toBe(64)
  expect(await round(10)).toBe(128)
  expect(await round(10)).toBe(256)
  expect(await round(100)).toBe(256)
  expect(await round(300)).toBe(128)
  expect(await round(300)).toBe(64)
  expect(await round(300)).toBe(64)
})
