// Claims in this process's memory: for one process, or where a duplicate after a restart does no harm.
import {
  checkKeys,
  type Claim,
  type ClaimStore,
  type Clock,
  type Duration,
  invalid,
  optionalDuration,
  optionalInteger,
  systemClock,
} from '@polybus/core'
import { type MemoryParking, memoryParking } from './memory-parking.ts'
import { createRecentTable } from './table.ts'

export interface MemoryStoreOptions {
  /** How many keys are remembered: past it the oldest completed ones go first, and never claims that are still running. Default 100,000. */
  readonly max?: number | undefined
  /** How long a completed key is remembered. Default `'7d'`. */
  readonly ttl?: Duration | undefined
  /** How much may wait behind dead letters (`deadLetter: 'in-order'`); past it consuming pauses. Default 64 MiB. */
  readonly maxParkedBytes?: number | undefined
  /** Default: a system clock of its own. */
  readonly clock?: Pick<Clock, 'now'> | undefined
}

const DUPLICATE: Claim = { status: 'duplicate' }
const BUSY: Claim = { status: 'busy' }
const MAX = 10_000_000
/** No claim runs: fences are above 0. */
const COMPLETED = 0

/** The memory store with what it holds. It answers at once, never by a promise. */
export interface MemoryStore extends ClaimStore {
  claim(key: string, leaseMs: number): Claim
  complete(key: string, fence: unknown): boolean
  release(key: string, fence: unknown): void
  renew(key: string, fence: unknown, leaseMs: number): boolean
  forget(prefix: string): void
  readonly parking: MemoryParking
  /** Keys held: completed ones, and claims still running. */
  readonly size: number
}

/**
 * Remembers handled messages in this process, and answers at once. What it has forgotten, by `max`, `ttl` or a restart,
 * runs again when it comes again.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const mail = consumer(orders, 'email', { idempotency: memoryStore({ max: 500_000 }), handler: send })
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  checkKeys(options, ['max', 'ttl', 'maxParkedBytes', 'clock'], 'memoryStore()')
  const max = optionalInteger(options.max, 'memoryStore().max', 1, MAX) ?? 100_000
  const ttlMs = optionalDuration(options.ttl, 'memoryStore().ttl', 1) ?? 7 * 86_400_000
  const maxParkedBytes =
    optionalInteger(options.maxParkedBytes, 'memoryStore().maxParkedBytes', 1, Number.MAX_SAFE_INTEGER) ??
    64 * 1024 * 1024
  const clock = options.clock ?? systemClock()
  if (typeof clock.now !== 'function') throw invalid('memoryStore().clock', 'expected a clock with now().')
  // Numbers in arrays beside the table: a claim makes no object that would outlive it.
  const fences = new Float64Array(max)
  const until = new Float64Array(max)
  /** Forgotten while it ran: its completion is not recorded. */
  const forgotten = new Uint8Array(max)
  const table = createRecentTable(max, (index) => fences[index] !== COMPLETED)
  let claims = 0

  /** The index of a claim that is still this fence's: who takes a key over gives it a new one. */
  const held = (key: string, fence: unknown): number => {
    const index = (fence as number) % max
    return table.text(index) === key && fences[index] === fence ? index : -1
  }
  const remove = (index: number): void => {
    fences[index] = COMPLETED
    table.remove(index)
  }

  return {
    kind: 'claim',
    parking: memoryParking(maxParkedBytes),
    claim(key, leaseMs) {
      const now = clock.now()
      let index = table.find(key)
      if (index >= 0) {
        if ((until[index] as number) > now) return fences[index] === COMPLETED ? DUPLICATE : BUSY
        // Its time, or its lease, is over.
        remove(index)
      }
      index = table.insert(key)
      // As many claims run as there is memory for.
      if (index < 0) return BUSY
      const fence = ++claims * max + index
      fences[index] = fence
      forgotten[index] = 0
      until[index] = now + leaseMs
      return { status: 'claimed', fence }
    },
    complete(key, fence) {
      const index = held(key, fence)
      if (index < 0) return false
      if (forgotten[index] === 1) {
        remove(index)
        return true
      }
      fences[index] = COMPLETED
      until[index] = clock.now() + ttlMs
      return true
    },
    release(key, fence) {
      const index = held(key, fence)
      if (index >= 0) remove(index)
    },
    renew(key, fence, leaseMs) {
      const index = held(key, fence)
      if (index < 0) return false
      until[index] = clock.now() + leaseMs
      return true
    },
    forget(prefix) {
      for (let index = 0; index < max; index++) {
        if (!table.text(index)?.startsWith(prefix)) continue
        if (fences[index] === COMPLETED) remove(index)
        else forgotten[index] = 1
      }
    },
    get size() {
      return table.size
    },
  }
}
