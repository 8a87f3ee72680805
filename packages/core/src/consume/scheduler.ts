// Who runs next: one at a time of a key, `concurrency` in all, first come first served.
import { createBacklog } from '../backlog.ts'
import type { Flight, KeyQueue } from './flight.ts'

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

/** So many keys are kept although nothing of them is here: to make a key's queue anew for each message costs more. */
const IDLE_KEYS = 1024

export function createScheduler(concurrency: number, start: (flight: Flight) => void): Scheduler {
  const ready = createBacklog<Flight>()
  const keys = new Map<string, KeyQueue>()
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
  const queueOf = (key: string): KeyQueue => {
    let queue = keys.get(key)
    if (!queue) {
      queue = { key, first: undefined, last: undefined }
      keys.set(key, queue)
    }
    return queue
  }
  const leaveKey = (flight: Flight): void => {
    const { keyQueue, nextOfKey: next } = flight
    if (keyQueue?.first !== flight) return
    flight.nextOfKey = undefined
    keyQueue.first = next
    if (next) return ready.push(next)
    keyQueue.last = undefined
    if (keys.size > IDLE_KEYS) keys.delete(keyQueue.key)
  }

  return {
    add(flight) {
      const { key } = flight
      if (key !== undefined) {
        const queue = queueOf(key)
        flight.keyQueue = queue
        const before = queue.last
        queue.last = flight
        if (before) {
          before.nextOfKey = flight
          return
        }
        queue.first = flight
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
