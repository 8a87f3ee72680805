// Things in the order in which they came, of which any can be taken out.
//
// A Set or a Map would do, but for thousands a second: it makes its table anew all the time, each old one leads to the next, and
// one that has outlived the collections of young objects keeps alive all that came later, until a full one.

export interface Linked<T> {
  /** Both are the chain's. */
  before: T | undefined
  after: T | undefined
}

export interface Chain<T> {
  first: T | undefined
  last: T | undefined
  size: number
}

export const createChain = <T>(): Chain<T> => ({ first: undefined, last: undefined, size: 0 })

export function joinChain<T extends Linked<T>>(chain: Chain<T>, item: T): void {
  const { last } = chain
  item.before = last
  if (last) last.after = item
  else chain.first = item
  chain.last = item
  chain.size++
}

/** False where it is not in it. */
export function leaveChain<T extends Linked<T>>(chain: Chain<T>, item: T): boolean {
  const { before, after } = item
  if (before === undefined && chain.first !== item) return false
  if (before) before.after = after
  else chain.first = after
  if (after) after.before = before
  else chain.last = before
  item.before = item.after = undefined
  chain.size--
  return true
}

/** Takes the first one out. */
export function shiftChain<T extends Linked<T>>(chain: Chain<T>): T | undefined {
  const { first } = chain
  if (first) leaveChain(chain, first)
  return first
}

/** In their order. */
export function listChain<T extends Linked<T>>(chain: Chain<T>): readonly T[] {
  const list: T[] = []
  for (let item = chain.first; item; item = item.after) list.push(item)
  return list
}
