import { expect, test } from 'vitest'
import { createChain, joinChain, leaveChain, type Linked, listChain, shiftChain } from '../src/chain.ts'

interface Item extends Linked<Item> {
  readonly name: string
}
const item = (name: string): Item => ({ name, before: undefined, after: undefined })

test('chain: in order, and any can be taken out', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(item) as [Item, Item, Item, Item]
  const chain = createChain<Item>()
  const names = (): string =>
    `${chain.size}: ${listChain(chain)
      .map(({ name }) => name)
      .join('')}`
  for (const each of [a, b, c, d]) joinChain(chain, each)
  expect(names()).toBe('4: abcd')
  leaveChain(chain, b)
  expect(names()).toBe('3: acd')
  leaveChain(chain, d)
  leaveChain(chain, a)
  expect(names()).toBe('1: c')
  joinChain(chain, a)
  expect(names()).toBe('2: ca')
  expect(shiftChain(chain)).toBe(c)
  expect(shiftChain(chain)).toBe(a)
  expect(shiftChain(chain)).toBeUndefined()
  expect(names()).toBe('0: ')
})

test('chain: who is not in it leaves it as it is', () => {
  const [a, b, c] = ['a', 'b', 'c'].map(item) as [Item, Item, Item]
  const chain = createChain<Item>()
  expect(leaveChain(chain, a)).toBe(false)
  for (const each of [a, b]) joinChain(chain, each)
  expect(leaveChain(chain, c)).toBe(false)
  expect(leaveChain(chain, a)).toBe(true)
  expect(leaveChain(chain, a)).toBe(false)
  expect(listChain(chain)).toEqual([b])
  expect(chain.size).toBe(1)
})

test('chain: what was taken out leads nowhere', () => {
  const chain = createChain<Item>()
  const [a, b, c] = ['a', 'b', 'c'].map(item) as [Item, Item, Item]
  for (const each of [a, b, c]) joinChain(chain, each)
  leaveChain(chain, b)
  leaveChain(chain, a)
  expect([a, b].map(({ before, after }) => [before, after])).toEqual([
    [undefined, undefined],
    [undefined, undefined],
  ])
})
