// Hand-overs that came to nothing while this process lived: the broker counts them, but they killed nobody.
import type { Delivery } from '../adapter.ts'

export interface Unrun {
  /** The delivery was lost before its handler started. */
  note(delivery: Delivery): void
  /** Whether the broker has handed it out more than `limit` times, those left out that came to nothing. */
  exceeds(delivery: Delivery, limit: number): boolean
}

/** The oldest go first: they then count as the broker counts them. */
const MAX = 10_000

export function createUnrun(): Unrun {
  const counts = new Map<string, number>()
  const idOf = ({ message: { id }, position }: Delivery): string => id ?? position
  return {
    note(delivery) {
      const id = idOf(delivery)
      const before = counts.get(id) ?? 0
      counts.delete(id)
      counts.set(id, before + 1)
      if (counts.size <= MAX) return
      for (const oldest of counts.keys()) return void counts.delete(oldest)
    },
    exceeds: (delivery, limit) =>
      delivery.count !== null && delivery.count > limit && delivery.count - (counts.get(idOf(delivery)) ?? 0) > limit,
  }
}
