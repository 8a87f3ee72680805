// Claims in this process's memory: for one process, or where a duplicate after a restart does no harm.
import {
  checkKeys,
  type Claim,
  type ClaimStore,
  type Clock,
  type Duration,
  optionalDuration,
  optionalInteger,
  systemClock,
} from '@polybus/core'
import { createRecentTable } from './table.ts'

export interface MemoryStoreOptions {
  /** How many completed keys are remembered: past it the oldest go first. Claims that are still running stay. Default 100,000. */
  readonly max?: number | undefined
  /** How long a completed key is remembered. Default `'7d'`. */
  readonly ttl?: Duration | undefined
  /** Default: a system clock of its own. */
  readonly clock?: Pick<Clock, 'now'> | undefined
}

/** One claim of a key, and its own fencing token: whoever takes the key over makes a new one. */
interface Running {
  /** End of the lease. */
  until: number
  /** Forgotten while it ran: its completion is not recorded. */
  forgotten: boolean
}

const DUPLICATE: Claim = { status: 'duplicate' }
const BUSY: Claim = { status: 'busy' }
const MAX = 10_000_000

/** The memory store with what it holds. It answers at once, never by a promise. */
export interface MemoryStore extends ClaimStore {
  claim(key: string, leaseMs: number): Claim
  complete(key: string, fence: unknown): boolean
  release(key: string, fence: unknown): void
  extend(key: string, fence: unknown, leaseMs: number): boolean
  forget(prefix: string): void
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
  checkKeys(options, ['max', 'ttl', 'clock'], 'memoryStore()')
  const max = optionalInteger(options.max, 'memoryStore().max', 1, MAX) ?? 100_000
  const ttlMs = optionalDuration(options.ttl, 'memoryStore().ttl', 1) ?? 7 * 86_400_000
  const clock = options.clock ?? systemClock()
  const running = new Map<string, Running>()
  /** Until when each completed key is remembered. */
  const completed = createRecentTable(max)

  const held = (key: string, fence: unknown): Running | undefined => {
    const claim = running.get(key)
    return claim === fence ? claim : undefined
  }

  return {
    kind: 'claim',
    claim(key, leaseMs) {
      const now = clock.now()
      const until = completed.get(key)
      if (until !== undefined && until > now) return DUPLICATE
      const other = running.get(key)
      if (other && other.until > now) return BUSY
      const fence: Running = { until: now + leaseMs, forgotten: false }
      running.set(key, fence)
      return { status: 'claimed', fence }
    },
    complete(key, fence) {
      const claim = held(key, fence)
      if (!claim) return false
      running.delete(key)
      if (claim.forgotten) return true
      completed.set(key, clock.now() + ttlMs)
      return true
    },
    release(key, fence) {
      if (held(key, fence)) running.delete(key)
    },
    extend(key, fence, leaseMs) {
      const claim = held(key, fence)
      if (!claim) return false
      claim.until = clock.now() + leaseMs
      return true
    },
    forget(prefix) {
      completed.forget((text) => text.startsWith(prefix))
      for (const [key, claim] of running) if (key.startsWith(prefix)) claim.forgotten = true
    },
    get size() {
      return running.size + completed.size
    },
  }
}
