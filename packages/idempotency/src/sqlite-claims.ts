import { randomUUID } from 'node:crypto'
import type { Claim } from '@polybus/core'
import { createBatcher } from './batcher.ts'
import { storedKey } from './keys.ts'
import type { DatabaseStoreOptions } from './options.ts'
import type { DatabaseClaimStore } from './postgres/claims.ts'
import { NOW, type SqliteDatabase } from './sqlite/database.ts'
import { createWork } from './sqlite/work.ts'

const AT_ONCE = 500

/**
 * Claims in a file of SQLite, for handlers whose effects are elsewhere. The claims of a batch of messages are one transaction,
 * and so are their completions.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const mail = consumer(orders, 'mail', { idempotency: sqliteClaimStore(new DatabaseSync('mail.db')), handler: send })
 */
export function sqliteClaimStore(db: SqliteDatabase, options: DatabaseStoreOptions = {}): DatabaseClaimStore {
  const work = createWork(db, options, 'sqliteClaimStore()')
  const { table, ttlMs, clock } = work.settings

  const batch = createBatcher<() => unknown, unknown>(clock, AT_ONCE, async (steps) => {
    const results = await work.write(() => steps.map((step) => step()))
    work.cleaner.start()
    return results
  })
  const one = async <T>(step: () => T): Promise<T> => (await batch(step)) as T
  /** Whether a row was still of this fence. */
  const held = (text: string, ...values: (string | number)[]): Promise<boolean> =>
    one(() => Number((db.prepare(text).run(...values) as { changes: number | bigint }).changes) > 0)

  return {
    kind: 'claim',
    ready: work.ready,
    claim: (key, leaseMs) =>
      one((): Claim => {
        const stored = storedKey(key)
        const row = db.prepare(`select fence from ${table} where key = ? and until > ${NOW}`).get(stored)
        if (row) return { status: (row as { fence: unknown }).fence === null ? 'duplicate' : 'busy' }
        const fence = randomUUID()
        const take = `insert or replace into ${table} (key, fence, until) values (?, ?, ${NOW} + ?)`
        db.prepare(take).run(stored, fence, leaseMs)
        return { status: 'claimed', fence }
      }),
    complete: (key, fence) =>
      held(
        `update ${table} set fence = null, until = iif(forgotten, 0, ${NOW} + ?), forgotten = 0 where key = ? and fence = ?`,
        ttlMs,
        storedKey(key),
        String(fence),
      ),
    async release(key, fence) {
      await held(`delete from ${table} where key = ? and fence = ?`, storedKey(key), String(fence))
    },
    renew: (key, fence, leaseMs) =>
      held(
        `update ${table} set until = ${NOW} + ? where key = ? and fence = ?`,
        leaseMs,
        storedKey(key),
        String(fence),
      ),
    forget: work.forget,
    parking: work.parking,
    close: work.cleaner.close,
  }
}
