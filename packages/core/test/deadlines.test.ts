import { expect, test } from 'vitest'
import { createDeadlines, type Due } from '../src/deadlines.ts'
import { manual } from './fake.ts'

interface Item extends Due {
  readonly name: string
}
const item = (name: string): Item => ({
  name,
  dueAt: 0,
  duePrevious: undefined,
  dueNext: undefined,
  dueListed: false,
})

test('items expire in the order of their deadlines, however they were added', async () => {
  const { clock, advance } = manual()
  const out: string[] = []
  const list = createDeadlines<Item>(clock, ({ name }) => out.push(`${name}@${clock.now()}`))
  for (const [name, at] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
    ['b2', 20],
  ] as const)
    list.add(item(name), at)
  await advance(20)
  expect(out).toEqual(['a@10', 'b@20', 'b2@20'])
  expect(list.size).toBe(1)
  await advance(10)
  expect(out.at(-1)).toBe('c@30')
})

test('what is removed does not expire, and an empty list has no timer', async () => {
  const time = manual()
  const out: string[] = []
  const list = createDeadlines<Item>(time.clock, ({ name }) => out.push(name))
  const [a, b, c] = [item('a'), item('b'), item('c')]
  list.add(a, 10)
  list.add(b, 10)
  list.add(c, 10)
  list.remove(b)
  list.remove(b)
  expect(list.size).toBe(2)
  await time.advance(10)
  expect(out).toEqual(['a', 'c'])
  list.add(b, 50)
  list.remove(b)
  expect(time.pending).toBe(false)
})

test('adding again moves the deadline', async () => {
  const { clock, advance } = manual()
  const out: number[] = []
  const list = createDeadlines<Item>(clock, () => out.push(clock.now()))
  const a = item('a')
  list.add(a, 10)
  list.add(a, 40)
  expect(list.size).toBe(1)
  await advance(100)
  expect(out).toEqual([40])
})

test('an item that is added while another expires gets its own time', async () => {
  const { clock, advance } = manual()
  const out: string[] = []
  const list = createDeadlines<Item>(clock, (due) => {
    out.push(`${due.name}@${clock.now()}`)
    if (due.name === 'a') list.add(item('b'), clock.now() + 5)
  })
  list.add(item('a'), 10)
  await advance(20)
  expect(out).toEqual(['a@10', 'b@15'])
})

test('drain gives all in order, and nothing expires later', async () => {
  const { clock, advance } = manual()
  let expired = 0
  const list = createDeadlines<Item>(clock, () => expired++)
  list.add(item('b'), 20)
  list.add(item('a'), 10)
  const out: string[] = []
  list.drain(({ name }) => out.push(name))
  expect(out).toEqual(['a', 'b'])
  await advance(100)
  expect(expired).toBe(0)
})
