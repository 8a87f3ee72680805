import { expect, test } from 'vitest'
import { createRecentTable } from '../src/table.ts'

/** The same, made of a list: slow, and obviously right. */
function model(capacity: number, pinned: (text: string) => boolean) {
  const ring: (string | undefined)[] = Array.from({ length: capacity })
  let next = 0
  return {
    has: (text: string) => ring.includes(text),
    insert(text: string): boolean {
      for (let steps = 0; steps < capacity; steps++) {
        const index = next
        next = (next + 1) % capacity
        const there = ring[index]
        if (there !== undefined && pinned(there)) continue
        ring[index] = text
        return true
      }
      return false
    },
    remove: (text: string) => void (ring[ring.indexOf(text)] = undefined),
    get size() {
      return ring.filter((text) => text !== undefined).length
    },
  }
}

test.each([1, 2, 3, 7, 64])(
  'a table of %i texts holds what a model of it holds, through thousands of random steps',
  (capacity) => {
    const pins = new Set<string>()
    const table = createRecentTable(capacity, (index) => pins.has(table.text(index) ?? ''))
    const expected = model(capacity, (text) => pins.has(text))
    let seed = capacity
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
    for (let step = 0; step < 5000; step++) {
      const text = `text-${random(capacity * 3)}`
      const index = table.find(text)
      expect(index >= 0).toBe(expected.has(text))
      if (index < 0) expect(table.insert(text) >= 0).toBe(expected.insert(text))
      else if (random(2) === 0) {
        pins.delete(text)
        table.remove(index)
        expected.remove(text)
      } else if (random(3) === 0) pins.add(text)
      else pins.delete(text)
      expect(table.size).toBe(expected.size)
    }
  },
)

test('where all are pinned there is no place', () => {
  const table = createRecentTable(2, () => true)
  expect([table.insert('a'), table.insert('b'), table.insert('c')]).toEqual([0, 1, -1])
  expect([table.find('a'), table.find('b'), table.find('c')]).toEqual([0, 1, -1])
})

test('texts with the same hash are told apart', () => {
  // Two texts that FNV-1a over UTF-16 units cannot tell apart, found by search.
  const seen = new Map<number, string>()
  const hash = (text: string) => {
    let value = 0x811c9dc5 | 0
    for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
    return value
  }
  let pair: [string, string] | undefined
  for (let index = 0; !pair; index++) {
    const text = `key-${index}`
    const other = seen.get(hash(text))
    if (other !== undefined) pair = [other, text]
    seen.set(hash(text), text)
  }
  const table = createRecentTable(10, () => false)
  const first = table.insert(pair[0])
  expect(table.find(pair[1])).toBe(-1)
  const second = table.insert(pair[1])
  expect([table.find(pair[0]), table.find(pair[1])]).toEqual([first, second])
})
