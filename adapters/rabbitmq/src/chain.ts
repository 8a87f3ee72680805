// Things in the order in which they came, of which any can be taken out.
//
// A Set would do, but for thousands a second: it makes its table anew all the time, each old one leads to the next, and one
// that has outlived the collections of young objects keeps alive all that came later, until a full one.

export interface Linked<T> {
  /** Both are the chain's. */
  before: T | undefined
  after: T | undefined
}

export interface Chain<T> {
  add(item: T): void
  /** Of what is in it. */
  remove(item: T): void
  /** In their order. */
  all(): readonly T[]
  /** The first one that matches. */
  find(matches: (item: T) => boolean): T | undefined
  readonly size: number
}

export function createChain<T extends Linked<T>>(): Chain<T> {
  let first: T | undefined
  let last: T | undefined
  let size = 0
  return {
    add(item) {
      item.before = last
      if (last) last.after = item
      else first = item
      last = item
      size++
    },
    remove(item) {
      const { before, after } = item
      if (before) before.after = after
      else first = after
      if (after) after.before = before
      else last = before
      item.before = item.after = undefined
      size--
    },
    all() {
      const list: T[] = []
      for (let item = first; item; item = item.after) list.push(item)
      return list
    },
    find(matches) {
      for (let item = first; item; item = item.after) if (matches(item)) return item
      return undefined
    },
    get size() {
      return size
    },
  }
}
