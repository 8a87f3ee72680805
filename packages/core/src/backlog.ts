/** A first-in-first-out list whose head can be put back. Shifting costs no copying. */
export interface Backlog<T> {
  push(item: T): void
  peek(): T | undefined
  shift(): T | undefined
  /** Back at the head, in order. */
  unshift(items: readonly T[]): void
  /** The first that matches; it stays where it is. */
  find(matches: (item: T) => boolean): T | undefined
  /** Drops what does not match. */
  retain(matches: (item: T) => boolean): void
  readonly size: number
}

export function createBacklog<T>(): Backlog<T> {
  let items: (T | undefined)[] = []
  let head = 0
  return {
    push: (item) => void items.push(item),
    peek: () => items[head],
    shift() {
      if (head >= items.length) return undefined
      const item = items[head]
      items[head++] = undefined
      if (head === items.length) {
        items = []
        head = 0
      } else if (head >= 1024 && head * 2 >= items.length) {
        items = items.slice(head)
        head = 0
      }
      return item
    },
    unshift(back) {
      if (back.length === 0) return
      items = [...back, ...items.slice(head)]
      head = 0
    },
    find(matches) {
      for (let index = head; index < items.length; index++) if (matches(items[index] as T)) return items[index]
      return undefined
    },
    retain(matches) {
      items = items.slice(head).filter((item) => matches(item as T))
      head = 0
    },
    get size() {
      return items.length - head
    },
  }
}
