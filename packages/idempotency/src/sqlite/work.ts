// What both stores on SQLite share: their tables, forgetting, cleaning, and taking turns on one connection.
import { invalid, PolybusError, type TransactionalParking } from '@polybus/core'
import { type Cleaner, createCleaner } from '../cleaner.ts'
import { createParking } from '../database-parking.ts'
import { storedPrefix } from '../keys.ts'
import { unavailable } from '../limit.ts'
import { checkClient, type DatabaseSettings, databaseSettings, type DatabaseStoreOptions } from '../options.ts'
import type { Query, Row } from '../postgres/query.ts'
import { begin, NOW, rollbackQuietly, type SqliteDatabase, whenUnlocked } from './database.ts'
import { missingTables, refuseMissing, schema } from './schema.ts'
import { createTurns, type Turns } from './turns.ts'

export interface Work {
  readonly settings: DatabaseSettings
  readonly turns: Turns
  /** Once the tables are there. Throws errors of ours alone, as all of these. */
  ready(): Promise<void>
  /** In a transaction of the store's own, when it is its turn. */
  write<T>(run: () => T | Promise<T>): Promise<T>
  forget(prefix: string): Promise<void>
  readonly cleaner: Cleaner
  readonly parking: TransactionalParking<SqliteDatabase>
}

const FORGET_AT_ONCE = 5000

export function createWork(db: SqliteDatabase, options: DatabaseStoreOptions, where: string): Work {
  const settings = databaseSettings(options, where)
  const { table, ttlMs, timeoutMs, create, clock } = settings
  checkClient(db, ['exec', 'prepare'], where)
  if (table.includes('.')) throw invalid(`${where}.table`, 'expected a name without a schema.')
  const turns = createTurns()
  const patience = { clock, limitMs: timeoutMs }
  let found: Promise<void> | undefined

  const locked = (): PolybusError =>
    new PolybusError('STORE_UNAVAILABLE', `The database of the idempotency store was locked for ${timeoutMs} ms.`)
  const inTransaction = async <T>(run: () => T | Promise<T>): Promise<T> => {
    const handOn = await turns.take()
    let begun = false
    try {
      begun = await begin(db, patience)
      if (!begun) throw locked()
      const result = await run()
      db.exec('commit')
      return result
    } finally {
      // What somebody else has begun on this connection is theirs to end.
      if (begun) rollbackQuietly(db)
      handOn()
    }
  }
  const find = async (): Promise<void> => {
    // Readers and the one writer don't wait for each other.
    if (!(await whenUnlocked(db, () => db.exec('pragma journal_mode = wal'), patience))) throw locked()
    const missing = missingTables(db, table)
    if (missing.length === 0) return
    if (!create) throw refuseMissing(missing)
    await inTransaction(() => {
      for (const statement of schema(table)) db.exec(statement)
    })
  }
  const explained = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run()
    } catch (error) {
      throw unavailable(error)
    }
  }
  const work: Work = {
    settings,
    turns,
    ready() {
      found ??= explained(find).catch((error: unknown) => {
        found = undefined
        throw error
      })
      return found
    },
    async write(run) {
      await work.ready()
      return explained(() => inTransaction(run))
    },
    async forget(prefix) {
      const begins = `key >= ?1 and substr(key, 1, length(?1)) = ?1`
      const start = storedPrefix(prefix)
      for (let more = true; more;)
        more = await work.write(() => {
          db.prepare(`update ${table} set forgotten = 1 where fence is not null and ${begins}`).run(start)
          return (
            remove(`select key from ${table} where fence is null and ${begins} limit ?2`, start, FORGET_AT_ONCE) ===
            FORGET_AT_ONCE
          )
        })
    },
    parking: createParking<SqliteDatabase>({
      table,
      durable: isFile(db),
      statement: (text, values) => work.write(() => queryOf(db)(text, values)),
      together: (run) => work.write(() => run(queryOf(db))),
      queryOf,
      lock: '',
      begins: (column) => `${column} >= $1 and substr(${column}, 1, length($1)) = $1`,
    }),
    cleaner: createCleaner({
      clock: settings.idleClock,
      everyMs: settings.cleanEveryMs,
      onError: settings.onError,
      // A claim whose owner died stays for as long again, so that a late completion finds it.
      remove: (count) =>
        work.write(() =>
          remove(
            `select key from ${table} where until <= ${NOW} and (fence is null or until <= ${NOW} - ?1) order by until limit ?2`,
            ttlMs,
            count,
          ),
        ),
    }),
  }
  const remove = (keys: string, ...values: (string | number)[]): number => {
    const { changes } = db.prepare(`delete from ${table} where key in (${keys})`).run(...values) as {
      changes: number | bigint
    }
    return Number(changes)
  }
  return work
}

const queryOf =
  (db: SqliteDatabase): Query =>
  (text, values = []) =>
    Promise.resolve(
      db.prepare(text.replaceAll('$', '?')).all(...(values as readonly (string | number)[])) as readonly Row[],
    )

/** What is in memory is gone with its connection. */
const isFile = (db: SqliteDatabase): boolean =>
  (db.prepare('select file from pragma_database_list where name = ?').get('main') as { file: string }).file !== ''
