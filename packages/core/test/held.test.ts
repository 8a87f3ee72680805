import { describe, expect, test } from 'vitest'
import { createFlight, type Flight } from '../src/consume/flight.ts'
import { createHeld } from '../src/consume/held.ts'
import { FRESH } from '../src/consume/progress.ts'
import { delivery } from './fake.ts'

const owner = { apply: () => true, wait: () => {}, finish: () => {} }
const flight = (token: unknown): Flight => createFlight(owner, delivery({ token }), undefined, 1, FRESH)
const tokens = (flights: readonly Flight[]): unknown[] => flights.map(({ delivery }) => delivery.token)

describe('what a feed has delivered', () => {
  test('is kept in the order in which it came, whatever leaves', () => {
    const held = createHeld()
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(flight) as [Flight, Flight, Flight, Flight]
    for (const one of [a, b, c, d]) held.add(one)
    expect(tokens(held.all())).toEqual(['a', 'b', 'c', 'd'])
    expect([held.remove(b), held.remove(b)]).toEqual([true, false])
    expect([tokens(held.all()), held.size]).toEqual([['a', 'c', 'd'], 3])
    held.remove(a)
    held.remove(d)
    expect(tokens(held.all())).toEqual(['c'])
    held.remove(c)
    held.add(flight('e'))
    expect([tokens(held.all()), held.size]).toEqual([['e'], 1])
  })
  test('what has left leads nowhere: it would keep alive what came after it', () => {
    const held = createHeld()
    const [a, b] = [flight('a'), flight('b')]
    held.add(a)
    held.add(b)
    held.remove(a)
    expect([a.heldNext, b.heldPrevious]).toEqual([undefined, undefined])
  })
  test('is found by its tokens, oldest first', () => {
    const held = createHeld()
    const [one, two] = [{}, {}]
    for (const token of [one, two, 3]) held.add(flight(token))
    expect(tokens(held.find([3, one, {}, 9]))).toEqual([one, 3])
    expect(tokens(held.find([two]))).toEqual([two])
    expect(held.find([])).toEqual([])
  })
  test('a token that is no object may come again while it is held', () => {
    const held = createHeld()
    const first = flight(7)
    held.add(first)
    expect([held.twin(7), held.twin(8), held.twin({})]).toEqual([first, undefined, undefined])
    const second = flight(7)
    held.add(second)
    held.remove(first)
    expect(held.twin(7)).toBe(second)
    held.remove(second)
    expect(held.twin(7)).toBeUndefined()
  })
})
