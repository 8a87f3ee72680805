import { expect, test } from 'vitest'
import { createChain, type Linked } from '../src/chain.ts'

interface Item extends Linked<Item> {
  readonly name: string
}
const item = (name: string): Item => ({ name, before: undefined, after: undefined })

test('rabbitmq chain: in order, and any can be taken out', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(item) as [Item, Item, Item, Item]
  const chain = createChain<Item>()
  const names = (): string =>
    `${chain.size}: ${chain
      .all()
      .map(({ name }) => name)
      .join('')}`
  for (const each of [a, b, c, d]) chain.add(each)
  expect(names()).toBe('4: abcd')
  chain.remove(b)
  expect(names()).toBe('3: acd')
  chain.remove(d)
  chain.remove(a)
  expect(names()).toBe('1: c')
  chain.add(a)
  expect(names()).toBe('2: ca')
  expect(chain.find(({ name }) => name > 'a')).toBe(c)
  expect(chain.find(({ name }) => name > 'c')).toBeUndefined()
  chain.remove(c)
  chain.remove(a)
  expect(names()).toBe('0: ')
})

test('rabbitmq chain: what was taken out leads nowhere', () => {
  const chain = createChain<Item>()
  const [a, b, c] = ['a', 'b', 'c'].map(item) as [Item, Item, Item]
  for (const each of [a, b, c]) chain.add(each)
  chain.remove(b)
  chain.remove(a)
  expect([a, b].map(({ before, after }) => [before, after])).toEqual([
    [undefined, undefined],
    [undefined, undefined],
  ])
})
