import type { Clock, Timer } from './clock.ts'

/** Something with a deadline; it stands in at most one list. */
export interface Due {
  dueAt: number
  duePrevious: Due | undefined
  dueNext: Due | undefined
  dueListed: boolean
}

export interface Deadlines<T extends Due> {
  /** Deadlines mostly come in order (one duration for all), so this is O(1) in practice. */
  add(item: T, atMs: number): void
  remove(item: T): void
  /** Takes every item out, in order. */
  drain(each: (item: T) => void): void
  readonly size: number
}

/**
 * Many deadlines on one timer, without an allocation an item: publishes, handler time-outs and leases each have a list.
 * `expired` gets an item that has been taken out of the list.
 */
export function createDeadlines<T extends Due>(clock: Clock, expired: (item: T) => void): Deadlines<T> {
  let first: Due | undefined
  let last: Due | undefined
  let timer: Timer | undefined
  let armedAt = Infinity
  let size = 0

  const unlink = (item: Due): void => {
    if (item.duePrevious) item.duePrevious.dueNext = item.dueNext
    else first = item.dueNext
    if (item.dueNext) item.dueNext.duePrevious = item.duePrevious
    else last = item.duePrevious
    item.duePrevious = item.dueNext = undefined
    item.dueListed = false
    size--
  }
  const arm = (): void => {
    if (!first || first.dueAt >= armedAt) return
    timer?.cancel()
    armedAt = first.dueAt
    timer = clock.timer(armedAt - clock.now(), sweep)
  }
  const sweep = (): void => {
    timer = undefined
    armedAt = Infinity
    const now = clock.now()
    try {
      while (first && first.dueAt <= now) {
        const item = first as T
        unlink(item)
        expired(item)
      }
    } finally {
      arm()
    }
  }

  return {
    add(item, atMs) {
      if (item.dueListed) unlink(item)
      item.dueAt = atMs
      item.dueListed = true
      size++
      let after = last
      while (after && after.dueAt > atMs) after = after.duePrevious
      item.duePrevious = after
      item.dueNext = after ? after.dueNext : first
      if (item.dueNext) item.dueNext.duePrevious = item
      else last = item
      if (after) after.dueNext = item
      else first = item
      arm()
    },
    remove(item) {
      if (!item.dueListed) return
      unlink(item)
      if (first || !timer) return
      // Nothing left: an idle timer must not keep the process alive.
      timer.cancel()
      timer = undefined
      armedAt = Infinity
    },
    drain(each) {
      while (first) {
        const item = first as T
        this.remove(item)
        each(item)
      }
    },
    get size() {
      return size
    },
  }
}
