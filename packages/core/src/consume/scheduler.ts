// Who runs next: one at a time of a key, `concurrency` in all, first come first served; what may be killing its process, alone.
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
  /** What {@link SchedulerOptions.calm} says may have changed. */
  wake(): void
  readonly running: number
  readonly ready: number
  /** Those that wait to run alone. */
  readonly suspects: number
}

/** So many keys are kept although nothing of them is here: to make a key's queue anew for each message costs more. */
const IDLE_KEYS = 1024

export interface SchedulerOptions {
  /** Whether a suspect may start: nothing else of this process should be on its way, or would be counted with it. Default: always. */
  readonly calm?: () => boolean
}

export function createScheduler(
  concurrency: number,
  start: (flight: Flight) => void,
  { calm = () => true }: SchedulerOptions = {},
): Scheduler {
  const ready = createBacklog<Flight>()
  const suspects: Flight[] = []
  const keys = new Map<string, KeyQueue>()
  let running = 0
  let open = true
  let pumping = false
  /** A suspect runs. */
  let alone = false

  const enqueue = (flight: Flight): void => {
    if (flight.suspect !== undefined) suspects.push(flight)
    else ready.push(flight)
  }
  /** The last one takes the place of the one that is taken. */
  const next = (): Flight | undefined => {
    if (suspects.length === 0 && !alone) return ready.shift()
    if (running > 0 || !calm()) return undefined
    let first = 0
    for (const [index, { suspect = 0 }] of suspects.entries())
      if (suspect < (suspects[first]?.suspect ?? 0)) first = index
    const flight = suspects[first]
    const last = suspects.pop()
    if (last && first < suspects.length) suspects[first] = last
    return flight
  }
  const pump = (): void => {
    // A handler that ends at once comes back here: the loop below goes on, not a deeper call.
    if (pumping) return
    pumping = true
    try {
      while (open && running < concurrency) {
        const flight = next()
        if (!flight) break
        if (flight.state !== 'queued') {
          leaveKey(flight)
          continue
        }
        running++
        alone = flight.suspect !== undefined
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
    if (next) return enqueue(next)
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
      enqueue(flight)
      pump()
    },
    resume(flight) {
      enqueue(flight)
      pump()
    },
    leaveSlot() {
      if (--running === 0) alone = false
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
    wake: pump,
    get running() {
      return running
    },
    get ready() {
      return ready.size
    },
    get suspects() {
      return suspects.length
    },
  }
}
