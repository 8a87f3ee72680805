import type { Clock, Timer } from '@polybus/core'

export interface Cleaner {
  /** Begins with the first call of the store, so that a store nobody uses does nothing. */
  start(): void
  /** Resolves when nothing is being removed any more. */
  close(): Promise<void>
}

export interface CleanerOptions {
  /** One that does not keep the process alive. */
  readonly clock: Clock
  readonly everyMs: number
  /** Removes up to `count` of what is past its time, and answers how many it were. */
  readonly remove: (count: number) => Promise<number>
  /** Told once, until it works again. */
  readonly onError: (error: unknown) => void
}

/** So few at a time that nobody waits for it. */
const AT_ONCE = 1000

/** Removes what is past its time, at intervals and in small steps. */
export function createCleaner({ clock, everyMs, remove, onError }: CleanerOptions): Cleaner {
  let timer: Timer | undefined
  let running: Promise<void> | undefined
  let closed = false
  let failing = false

  const clean = async (): Promise<void> => {
    try {
      while (!closed && (await remove(AT_ONCE)) === AT_ONCE) await clock.turn()
      failing = false
    } catch (error) {
      if (!closed && !failing) onError(error)
      failing = true
    }
  }
  const arm = (): void => {
    if (closed) return
    timer = clock.timer(everyMs, () => {
      running = clean().finally(arm)
    })
  }
  return {
    start() {
      if (!timer) arm()
    },
    async close() {
      closed = true
      timer?.cancel()
      await running
    },
  }
}
