// The only file that touches timers and the time of day. Everything else, adapters too, is given a Clock.

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds that only go forward, for everything that is measured or waited for. */
  now(): number
  /** Milliseconds since 1970, for what people and other systems read. */
  wall(): number
  /** Runs once, not before the delay is over. Negative is 0. */
  timer(delayMs: number, run: () => void): Timer
  /** Resolves in the next turn of the event loop, after I/O and due timers had theirs: for loops that would else live on microtasks alone. */
  turn(): Promise<void>
}

/** What a clock is made of: {@link systemClock} and virtual time differ in this alone. */
export interface TimeSource {
  now(): number
  wall(): number
  /** Asks for one call of `wake` after the delay; a later request replaces the earlier one. `undefined`: none. */
  arm(delayMs: number | undefined, wake: () => void): void
}

interface Entry extends Timer {
  at: number
  order: number
  index: number
  run: () => void
}

/** A clock with one heap of timers over one native timer. `wake` runs what is due. */
export function createClock(source: TimeSource): Clock & { wake(): void; nextAt(): number | undefined } {
  const heap: Entry[] = []
  let count = 0
  let armedAt = Infinity

  const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
  const put = (entry: Entry, index: number): void => {
    heap[index] = entry
    entry.index = index
  }
  const up = (entry: Entry): void => {
    let index = entry.index
    while (index > 0) {
      const parent = heap[(index - 1) >> 1] as Entry
      if (!before(entry, parent)) break
      put(parent, index)
      index = (index - 1) >> 1
    }
    put(entry, index)
  }
  const down = (entry: Entry): void => {
    let index = entry.index
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++
      if (!before(heap[child] as Entry, entry)) break
      put(heap[child] as Entry, index)
      index = child
    }
    put(entry, index)
  }
  const remove = (entry: Entry): void => {
    if (entry.index < 0) return
    const last = heap.pop() as Entry
    if (last !== entry) {
      put(last, entry.index)
      up(last)
      down(last)
    }
    entry.index = -1
  }
  const arm = (): void => {
    const at = heap[0]?.at ?? Infinity
    if (at === armedAt) return
    // A native timer that wakes too early costs less than arming anew each time the first timer is cancelled.
    if (at > armedAt && heap.length > 0) return
    armedAt = at
    source.arm(at === Infinity ? undefined : Math.max(0, at - source.now()), wake)
  }
  const wake = (): void => {
    armedAt = Infinity
    // Timers set by what runs here wait for the next wake, so that a zero delay cannot starve the loop.
    const now = source.now()
    const limit = count
    try {
      for (let first = heap[0]; first && first.at <= now && first.order < limit; first = heap[0]) {
        remove(first)
        first.run()
      }
    } finally {
      arm()
    }
  }

  return {
    now: source.now,
    wall: source.wall,
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    timer(delayMs, run) {
      const entry: Entry = {
        at: source.now() + Math.max(0, delayMs),
        order: count++,
        index: heap.length,
        run,
        cancel: () => {
          remove(entry)
          arm()
        },
      }
      heap.push(entry)
      up(entry)
      arm()
      return entry
    },
    wake,
    nextAt: () => heap[0]?.at,
  }
}

/** Real time. One a bus: nothing is shared between two. With `unref` its timers don't keep the process alive: for what only tidies. */
export function systemClock({ unref = false }: { readonly unref?: boolean } = {}): Clock {
  let native: ReturnType<typeof setTimeout> | undefined
  return createClock({
    now: () => performance.now(),
    wall: () => Date.now(),
    arm(delayMs, wake) {
      clearTimeout(native)
      // setTimeout overflows past 2^31 - 1 ms and would fire at once: such a timer wakes early and is armed again.
      native = delayMs === undefined ? undefined : setTimeout(wake, Math.min(Math.ceil(delayMs), 2 ** 31 - 1))
      if (unref) native?.unref()
    },
  })
}

/** Resolves after the delay, or as soon as the signal aborts. Never rejects. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.timer(delayMs, done)
    signal?.addEventListener('abort', done)
  })
}
