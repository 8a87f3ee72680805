import type { Entry, Heap } from './state.ts'

const before = (a: Entry, b: Entry): boolean => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.seq < b.seq)

/** A binary heap. */
export function createHeap(): Heap {
  const items: Entry[] = []
  return {
    items,
    push(entry) {
      let index = items.length
      items.push(entry)
      while (index > 0) {
        const parent = items[(index - 1) >> 1] as Entry
        if (!before(entry, parent)) break
        items[index] = parent
        index = (index - 1) >> 1
      }
      items[index] = entry
    },
    pop() {
      const first = items[0]
      const last = items.pop()
      if (!last || first === last) return first
      let index = 0
      for (;;) {
        let child = 2 * index + 1
        if (child >= items.length) break
        if (child + 1 < items.length && before(items[child + 1] as Entry, items[child] as Entry)) child++
        if (!before(items[child] as Entry, last)) break
        items[index] = items[child] as Entry
        index = child
      }
      items[index] = last
      return first
    },
  }
}
