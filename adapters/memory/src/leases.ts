import type { Clock, Timer } from '@polybus/core'
import type { Handed, Leases } from './state.ts'

/** The deadline of a lease that ends with the membership alone. */
export const NEVER: number = 2 ** 31 - 1

/** All of a member's leases last equally long, so they end in the order of adding. `expired` gets all that are due, still listed. */
export function createLeases(clock: Clock, expired: (due: readonly Handed[]) => void): Leases {
  let first: Handed | undefined
  let last: Handed | undefined
  let timer: Timer | undefined
  let stopped = false

  const arm = (): void => {
    if (!first || stopped || first.dueAt === NEVER || timer) return
    // It stays when its lease is gone: it fires once in a lease's time, however many come and go.
    timer = clock.timer(first.dueAt - clock.now(), sweep)
  }
  const sweep = (): void => {
    timer = undefined
    const now = clock.now()
    const due: Handed[] = []
    for (let item = first; item && item.dueAt <= now; item = item.next) due.push(item)
    if (due.length > 0) expired(due)
    arm()
  }

  return {
    get first() {
      return first
    },
    add(handed, dueAt) {
      handed.dueAt = dueAt
      handed.previous = last
      if (last) last.next = handed
      else first = handed
      last = handed
      if (timer === undefined) arm()
    },
    remove(handed) {
      if (handed.previous) handed.previous.next = handed.next
      else first = handed.next
      if (handed.next) handed.next.previous = handed.previous
      else last = handed.previous
      handed.previous = handed.next = undefined
    },
    stop() {
      stopped = true
      timer?.cancel()
      timer = undefined
    },
  }
}
