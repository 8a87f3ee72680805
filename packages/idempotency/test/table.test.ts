import { expect, test } from 'vitest'
import { createRecentTable } from '../src/table.ts'

/** The same, made of a Map: slow, and obviously right. */
function model(capacity: number) {
  const entries = new Map<string, number>()
  // Places in the ring: a text that is set anew leaves its old place empty.
  const ring: (string | undefined)[] = Array.from({ length: capacity })
  let next = 0
  return {
    get: (text: string) => entries.get(text),
    set(text: string, value: number) {
      const before = ring.indexOf(text)
      if (before >= 0) ring[before] = undefined
      const oldest = ring[next]
      if (oldest !== undefined) entries.delete(oldest)
      entries.delete(text)
      entries.set(text, value)
      ring[next] = text
      next = (next + 1) % capacity
    },
    forget(prefix: string) {
      for (const text of [...entries.keys()].filter((key) => key.startsWith(prefix))) {
        entries.delete(text)
        ring[ring.indexOf(text)] = undefined
      }
    },
    get size() {
      return entries.size
    },
  }
}

test.each([1, 2, 3, 7, 64])(
  'a table of %i texts knows what a model of it knows, through thousands of random steps',
  (capacity) => {
    const table = createRecentTable(capacity)
    const expected = model(capacity)
    let seed = capacity
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
    for (let step = 0; step < 5000; step++) {
      const text = `${random(3)}:${random(capacity * 3)}`
      if (random(50) === 0) {
        const prefix = `${random(3)}:`
        table.forget((candidate) => candidate.startsWith(prefix))
        expected.forget(prefix)
      } else if (random(2) === 0) {
        table.set(text, step)
        expected.set(text, step)
      }
      expect(table.get(text)).toBe(expected.get(text))
      expect(table.size).toBe(expected.size)
    }
  },
)

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
  const table = createRecentTable(10)
  table.set(pair[0], 1)
  expect(table.get(pair[1])).toBeUndefined()
  table.set(pair[1], 2)
  expect([table.get(pair[0]), table.get(pair[1])]).toEqual([1, 2])
})
