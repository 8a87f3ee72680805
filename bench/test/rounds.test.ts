import { expect, test } from 'vitest'
import { alternating, freshNames } from '../src/rounds.ts'

const run = async (rounds: number, warmUp: boolean) => {
  const order: string[] = []
  const results = await alternating({ rounds, warmUp }, ['a', 'b'], async (entry, round) => {
    order.push(`${entry}${round}`)
    return round
  })
  return { order, results }
}

test('every second round goes backwards, and the first one does not count', async () => {
  const { order, results } = await run(2, true)
  expect(order).toEqual(['a0', 'b0', 'b1', 'a1', 'a2', 'b2'])
  expect(results.get('a')).toEqual([1, 2])
  expect(results.get('b')).toEqual([1, 2])
})

test('without a round that warms up each runs once a round', async () => {
  expect((await run(1, false)).order).toEqual(['b1', 'a1'])
})

test('two makers of names never give the same', () => {
  const [one, two] = [freshNames(), freshNames()]
  expect(new Set([one(), one(), two(), two()]).size).toBe(4)
})
