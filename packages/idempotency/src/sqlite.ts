// SQLite through node:sqlite.
import type { Call } from '@polybus/core'
import { guard, type GuardOptions } from './guard.ts'
import { storedKey } from './keys.ts'
import { unavailable } from './limit.ts'
import type { DatabaseStoreOptions } from './options.ts'
import { refuseOwnEnd } from './own-end.ts'
import { type DatabaseStore, refused, untilAborted } from './transaction.ts'
import { begin, isViolation, NOW, rollbackQuietly, type SqliteDatabase } from './sqlite/database.ts'
import { createWork } from './sqlite/work.ts'

type Outcome = 'done' | 'duplicate' | 'busy'

const GUARDING: GuardOptions = {
  makers: ['prepare'],
  denied: ['close'],
  statements: { of: ['exec', 'prepare'], check: refuseOwnEnd },
}

/**
 * Remembers handled messages in a file of SQLite, in the handler's own transaction: `tx` is the database that it was given,
 * and what is written through it is committed together with the record, or not at all. SQLite has one writer, so one handler
 * runs at a time; what waits for another process longer than `timeout` is told busy. Give it a connection of its own: whatever
 * else is written through it while a handler runs becomes part of that handler's transaction.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const charge = consumer(orders, 'charge', {
 *   idempotency: sqliteStore(new DatabaseSync('orders.db')),
 *   handler: (order, { tx }) => void tx.prepare('insert into charges values (?, ?)').run(order.id, order.cents),
 * })
 */
export function sqliteStore<Db extends SqliteDatabase>(db: Db, options: DatabaseStoreOptions = {}): DatabaseStore<Db> {
  const work = createWork(db, options, 'sqliteStore()')
  const { table, ttlMs, timeoutMs, clock } = work.settings

  /** A row past its time is as good as none. */
  const take = (key: string): Outcome => {
    const row = db.prepare(`select fence from ${table} where key = ? and until > ${NOW}`).get(key)
    if (row) return (row as { fence: unknown }).fence === null ? 'duplicate' : 'busy'
    db.prepare(`insert or replace into ${table} (key, until) values (?, ${NOW} + ?)`).run(key, ttlMs)
    return 'done'
  }
  const commit = (): void => {
    if (!db.isTransaction) throw refused(new Error('it was ended within the handler'))
    try {
      db.exec('commit')
    } catch (error) {
      throw isViolation(error) ? refused(error) : error
    }
  }

  async function run(key: string, handle: (tx: Db) => Promise<void>, { signal }: Call): Promise<Outcome> {
    signal.throwIfAborted()
    const stored = storedKey(key)
    await work.ready()
    work.cleaner.start()
    const handOn = await work.turns.take(signal)
    let failure: { readonly error: unknown } | undefined
    let begun = false
    try {
      begun = await begin(db, { clock, limitMs: timeoutMs, signal })
      if (!begun) return 'busy'
      const outcome = take(stored)
      if (outcome !== 'done') return outcome
      try {
        await untilAborted(guard(db, GUARDING), handle, signal)
        signal.throwIfAborted()
      } catch (error) {
        failure = { error }
        // Somebody ended the transaction, and with a COMMIT the record stayed: the message must come again.
        if (!db.isTransaction) db.prepare(`delete from ${table} where key = ?`).run(stored)
        throw error
      }
      commit()
      return outcome
    } catch (error) {
      if (failure) throw failure.error
      throw signal.aborted ? signal.reason : unavailable(error)
    } finally {
      // What somebody else has begun on this connection is theirs to end.
      if (begun) rollbackQuietly(db)
      handOn()
    }
  }
  return {
    kind: 'transactional',
    ready: work.ready,
    run,
    forget: work.forget,
    parking: work.parking,
    close: work.cleaner.close,
  }
}
