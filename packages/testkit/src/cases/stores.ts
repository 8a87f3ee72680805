// Idempotency stores of the suite's own, so that it depends on no database and can take them away.
import { type ClaimStore, type Parking, PolybusError, type TransactionalStore } from '@polybus/core'
import { memoryStore } from '@polybus/idempotency'

interface Switch {
  /** While true every call fails. */
  down: boolean
}

export interface TestStore extends ClaimStore, Switch {
  /** Called after a completion is recorded. */
  afterComplete: (key: string) => void
  readonly completed: ReadonlySet<string>
  readonly claims: () => number
  readonly parking: Parking
}

/**
 * What the suite keeps outlives its buses, so they may park in it as in a database.
 *
 * @param leaseMs at most so long, for cases that wait for a dead owner's claim.
 */
export function claimStore(now: () => number, leaseMs: number = Infinity): TestStore {
  const rows = new Map<string, { fence: number; until: number }>()
  const completed = new Set<string>()
  let fences = 0
  let claims = 0
  const check = (): void => {
    if (store.down) throw new PolybusError('STORE_UNAVAILABLE')
  }
  const store: TestStore = {
    kind: 'claim',
    down: false,
    afterComplete() {},
    completed,
    claims: () => claims,
    parking: durable(check),
    claim(key, askedMs) {
      check()
      claims++
      if (completed.has(key)) return { status: 'duplicate' }
      const row = rows.get(key)
      if (row && row.until > now()) return { status: 'busy' }
      const fence = ++fences
      rows.set(key, { fence, until: now() + Math.min(askedMs, leaseMs) })
      return { status: 'claimed', fence }
    },
    async complete(key, fence) {
      check()
      if (rows.get(key)?.fence !== fence) return false
      rows.delete(key)
      completed.add(key)
      await Promise.resolve()
      store.afterComplete(key)
      return true
    },
    release(key, fence) {
      check()
      if (rows.get(key)?.fence === fence) rows.delete(key)
    },
    renew(key, fence, askedMs) {
      check()
      const row = rows.get(key)
      if (!row || row.fence !== fence) return false
      row.until = now() + Math.min(askedMs, leaseMs)
      return true
    },
    forget(prefix) {
      check()
      for (const key of [...completed, ...rows.keys()])
        if (key.startsWith(prefix)) {
          completed.delete(key)
          rows.delete(key)
        }
    },
  }
  return store
}

function durable(check: () => void): Parking {
  const { parking } = memoryStore()
  const checked =
    <A extends unknown[], R>(run: (...args: A) => R) =>
    (...args: A): R => {
      check()
      return run(...args)
    }
  return {
    durable: true,
    enter: checked(parking.enter),
    block: checked(parking.block),
    advance: checked(parking.advance),
    sent: checked(parking.sent),
    head: checked(parking.head),
    list: checked(parking.list),
  }
}

export interface Transaction {
  write(text: string): void
}

export interface TransactionStore extends TransactionalStore<Transaction>, Switch {
  /** What was committed. */
  readonly written: readonly string[]
}

/** Rows and writes become visible together, or not at all. */
export function transactionStore(): TransactionStore {
  const done = new Set<string>()
  const running = new Set<string>()
  const written: string[] = []
  const store: TransactionStore = {
    kind: 'transactional',
    down: false,
    written,
    async run(key, work, { signal }) {
      if (store.down) throw new PolybusError('STORE_UNAVAILABLE')
      if (done.has(key)) return 'duplicate'
      if (running.has(key)) return 'busy'
      running.add(key)
      const writes: string[] = []
      let open = true
      const close = (): void => void (open = false)
      signal.addEventListener('abort', close)
      try {
        await work({
          write(text) {
            if (!open) throw new Error('the transaction is over')
            writes.push(text)
          },
        })
        signal.throwIfAborted()
        done.add(key)
        written.push(...writes)
        return 'done'
      } finally {
        running.delete(key)
        signal.removeEventListener('abort', close)
      }
    },
    forget(prefix) {
      for (const key of done) if (key.startsWith(prefix)) done.delete(key)
    },
  }
  return store
}
