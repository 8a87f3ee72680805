import { expect, test } from 'vitest'
import type { Delivery } from '../src/adapter.ts'
import { suspectPlace } from '../src/consume/suspects.ts'

const ids = Array.from({ length: 200 }, (_, n) => `m-${n}`)
const place = (id: string | undefined, count: number, position = 'p'): number =>
  suspectPlace({ message: { id }, position, count } as Delivery)
const inOrder = (count: number): string[] => ids.toSorted((a, b) => place(a, count) - place(b, count))

test('each goes before any other within two counts', () => {
  for (const count of [4, 6, 10]) expect(inOrder(count + 1)).toEqual(inOrder(count).toReversed())
})
test('and every second count the order is a new one, so that nobody stays between two that kill', () => {
  const left = new Set(ids)
  const killers = ['m-50', 'm-150']
  for (const count of [4, 5, 6, 7, 8, 9, 10, 11]) {
    const order = inOrder(count)
    for (const id of order.slice(0, Math.min(...killers.map((id) => order.indexOf(id))))) left.delete(id)
  }
  // Of 198, a third would be left for ever if the order were always the same two.
  expect(left.size).toBeLessThan(12)
})
test('what has no id goes by its position', () => {
  expect(place(undefined, 4, '7-0')).toBe(place('7-0', 4))
})
