// Who runs next: one at a time of a key, `concurrency` in all, first come first served.
import { type Backlog, createBacklog } from '../backlog.ts'
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

interface KeyQueue {
  readonly waiting: Backlog<Flight>
}

export function createScheduler(concurrency: number, start: (flight: Flight) => void): Scheduler {
  const ready = createBacklog<Flight>()
  const keys = new Map<string, KeyQueue | null>()
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
    const { key } = flight
    if (key === undefined || !flight.hasKey) return
    flight.hasKey = false
    const next = keys.get(key)?.waiting.shift()
    if (next) {
      next.hasKey = true
      ready.push(next)
    } else keys.delete(key)
  }

  return {
    add(flight) {
      const { key } = flight
      if (key !== undefined) {
        const queue = keys.get(key)
        if (queue !== undefined) {
          // A queue is made only for a key that has a second message.
          if (queue === null) {
            const waiting = createBacklog<Flight>()
            waiting.push(flight)
            keys.set(key, { waiting })
          } else queue.waiting.push(flight)
          return
        }
        keys.set(key, null)
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
