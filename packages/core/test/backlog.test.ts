import { expect, test } from 'vitest'
import { createBacklog } from '../src/backlog.ts'

test('first in, first out, also past the size at which the head is cut off', () => {
  const list = createBacklog<number>()
  for (let index = 0; index < 5000; index++) list.push(index)
  for (let index = 0; index < 4000; index++) expect(list.shift()).toBe(index)
  for (let index = 5000; index < 6000; index++) list.push(index)
  expect(list.size).toBe(2000)
  expect(list.peek()).toBe(4000)
  for (let index = 4000; index < 6000; index++) expect(list.shift()).toBe(index)
  expect(list.size).toBe(0)
  expect(list.shift()).toBeUndefined()
  expect(list.peek()).toBeUndefined()
})

test('what is put back stands at the head, in order', () => {
  const list = createBacklog<string>()
  for (const text of ['a', 'b', 'c']) list.push(text)
  expect([list.shift(), list.shift()]).toEqual(['a', 'b'])
  list.unshift(['a', 'b'])
  list.unshift([])
  expect([list.shift(), list.shift(), list.shift(), list.shift()]).toEqual(['a', 'b', 'c', undefined])
})

test('retain drops what does not match, and keeps the order', () => {
  const list = createBacklog<number>()
  for (let index = 0; index < 10; index++) list.push(index)
  list.shift()
  list.retain((value) => value % 2 === 1)
  expect(list.size).toBe(5)
  list.push(99)
  expect(Array.from({ length: 6 }, () => list.shift())).toEqual([1, 3, 5, 7, 9, 99])
})
