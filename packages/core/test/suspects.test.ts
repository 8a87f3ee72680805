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
/** Of 60 that come back `batch` at a time, `killing` kill their process; how many others are in hand at the limit of 11. */
function neighboursLost(killing: number, batch: number, by: (id: string, count: number) => number): number {
  const all = Array.from({ length: 60 }, () => Math.random().toString(36))
  const killers = new Set(all.slice(20, 20 + killing))
  const counts = new Map(all.map((id) => [id, 0]))
  const of = (id: string): number => counts.get(id) ?? 0
  let left = all
  let lost = 0
  const end = (id: string): void => void (left = left.filter((other) => other !== id))
  while (left.length > 0)
    for (let rest = left, alive = true; alive && rest.length > 0; rest = rest.slice(batch)) {
      const hand = rest.slice(0, batch)
      for (const id of hand) counts.set(id, of(id) + 1)
      for (const id of hand.filter((id) => of(id) > 11)) {
        if (!killers.has(id)) lost++
        end(id)
      }
      const running = hand.filter((id) => of(id) <= 11)
      const [fresh, suspects] = [running.filter((id) => of(id) <= 3), running.filter((id) => of(id) > 3)]
      const ranks = new Map(suspects.map((id) => [id, by(id, of(id))]))
      suspects.sort((a, b) => (ranks.get(a) ?? 0) - (ranks.get(b) ?? 0))
      for (const id of [...fresh, ...suspects]) {
        if (killers.has(id)) {
          alive = false
          break
        }
        end(id)
      }
    }
  return lost
}
test('simulated: one that kills takes no neighbour; several take fewer than by chance', () => {
  const sum = (killing: number, batch: number, by: (id: string, count: number) => number): number =>
    Array.from({ length: 200 }, () => neighboursLost(killing, batch, by)).reduce((a, b) => a + b)
  for (const batch of [10, 60]) {
    expect(sum(1, batch, place)).toBe(0)
    expect(sum(2, batch, place)).toBeLessThan(sum(2, batch, Math.random))
  }
})
test('what has no id goes by its position', () => {
  expect(place(undefined, 4, '7-0')).toBe(place('7-0', 4))
})
