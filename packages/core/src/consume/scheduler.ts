// Who runs next: one at a time of a key, `concurrency` in all, first come first served.
import { createBacklog } from '../backlog.ts'
import type { Flight } from './flight.ts'

export interface Scheduler {
  /** Queues a delivery behind the others of its key. */
  add(flight: Flight): void
  /** Ready again after a wait; it still has its key. */
  resume(flight: Flight): void
  /** The handler is done: its slot is free. */
  leaveSlot(): void
  /** The message is done with its key: the next one of the key may run. */
  leaveKey(flight: Flight): void
  /** Closed: nothing starts. */
  gate(open: boolean): void
  readonly running: number
  readonly ready: number
}

export function createScheduler(concurrency: number, start: (flight: Flight) => void): Scheduler {
  const ready = createBacklog<Flight>()
  /** The last delivery of each key; from the one whose turn it is, `nextOfKey` leads there. */
  const last = new Map<string, Flight>()
  let running = 0
  let open = true
  let pumping = false

  const pump = (): void => {
    // A handler that ends at once comes back here: the loop below goes on, not a deeper call.
    if (pumping) return
    pumping = true
    try {
      while (open && running < concurrency) {
        const flight = ready.shift()
        if (!flight) break
        if (flight.state !== 'queued') {
          leaveKey(flight)
          continue
        }
        running++
        start(flight)
      }
    } finally {
      pumping = false
    }
  }
  const leaveKey = (flight: Flight): void => {
    const { key, nextOfKey: next } = flight
    if (key === undefined || !flight.hasKey) return
    flight.hasKey = false
    flight.nextOfKey = undefined
    if (next) {
      next.hasKey = true
      ready.push(next)
    } else last.delete(key)
  }

  return {
    add(flight) {
      const { key } = flight
      if (key !== undefined) {
        const before = last.get(key)
        last.set(key, flight)
        if (before) {
          before.nextOfKey = flight
          return
        }
        flight.hasKey = true
      }
      ready.push(flight)
      pump()
    },
    resume(flight) {
      ready.push(flight)
      pump()
    },
    leaveSlot() {
      running--
      pump()
    },
    leaveKey(flight) {
      leaveKey(flight)
      pump()
    },
    gate(next) {
      open = next
      if (open) pump()
    },
    get running() {
      return running
    },
    get ready() {
      return ready.size
    },
  }
}
