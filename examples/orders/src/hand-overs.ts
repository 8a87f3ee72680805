// Which process serves which customers, as the services see it.
import type { Group } from './groups.ts'

export interface HandOvers {
  served(by: number, group: Group, customer: string): void
  /** This process was killed. */
  gone(by: number): void
  /** How often a customer's next request came from another process than the last one, all groups together. */
  readonly count: number
  /** Requests of each process, by its number. */
  readonly requests: Readonly<Record<number, number>>
  /**
   * Of the customers that a killed process served in its last second, each counted in every group: how many others served later,
   * and how long after its death the first of them, in milliseconds.
   */
  takenOver(by: number): TakenOver
}

export interface TakenOver {
  readonly customers: number
  readonly firstMs: number | undefined
}

/** A customer whose lane moved before the process was killed was not taken from it. */
const RECENT_MS = 1000

export function watchHandOvers(): HandOvers {
  const last = new Map<string, { by: number; at: number }>()
  const graves = new Map<number, { readonly at: number; customers: number; firstMs: number | undefined }>()
  const requests: Record<number, number> = {}
  let count = 0
  return {
    requests,
    served(by, group, customer) {
      requests[by] = (requests[by] ?? 0) + 1
      const name = `${group} ${customer}`
      const now = performance.now()
      const before = last.get(name)
      last.set(name, { by, at: now })
      if (!before || before.by === by) return
      count++
      const grave = graves.get(before.by)
      if (!grave || before.at < grave.at - RECENT_MS) return
      grave.customers++
      grave.firstMs ??= now - grave.at
    },
    gone(by) {
      graves.set(by, { at: performance.now(), customers: 0, firstMs: undefined })
    },
    get count() {
      return count
    },
    takenOver: (by) => graves.get(by) ?? { customers: 0, firstMs: undefined },
  }
}
