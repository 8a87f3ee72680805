// A connection to SQLite, where everything answers at once, and whoever writes is alone.
import { type Clock, sleep } from '@polybus/core'

export type SqliteValue = string | number

/** As much of node:sqlite's `StatementSync` as the store uses. */
export interface SqliteStatement {
  get(...values: SqliteValue[]): unknown
  all(...values: SqliteValue[]): unknown[]
  run(...values: SqliteValue[]): unknown
}
/** As much of node:sqlite's `DatabaseSync`. */
export interface SqliteDatabase {
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
  readonly isTransaction: boolean
}

/** In milliseconds, as SQLite reads the clock of the machine. */
export const NOW = `cast(unixepoch('subsec') * 1000 as integer)`

const BUSY = 5
const LOCKED = 6
const CONSTRAINT = 19

const codeOf = (error: unknown): number =>
  typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) & 0xff : 0
const isLocked = (error: unknown): boolean => [BUSY, LOCKED].includes(codeOf(error))
/** A deferred constraint, at the commit. */
export const isViolation = (error: unknown): boolean => codeOf(error) === CONSTRAINT

export interface Patience {
  readonly clock: Clock
  readonly limitMs: number
  readonly signal?: AbortSignal | undefined
}

/** Tries until nobody else has the lock, without standing in the event loop's way. Undefined where the time is over. */
export async function whenUnlocked<T>(
  db: SqliteDatabase,
  run: () => T,
  { clock, limitMs, signal }: Patience,
): Promise<{ readonly result: T } | undefined> {
  const end = clock.now() + limitMs
  for (;;) {
    signal?.throwIfAborted()
    // Whoever opened it: another store on this connection, or the application.
    const tried = db.isTransaction ? undefined : attempt(db, run)
    if (tried) return tried
    if (clock.now() > end) return undefined
    await sleep(clock, 1 + Math.random() * 9, signal)
  }
}

function attempt<T>(db: SqliteDatabase, run: () => T): { readonly result: T } | undefined {
  // The connection's own way of waiting would stop the whole process.
  const { timeout } = db.prepare('pragma busy_timeout').get() as { timeout: number }
  if (timeout > 0) db.exec('pragma busy_timeout = 0')
  try {
    return { result: run() }
  } catch (error) {
    if (isLocked(error)) return undefined
    throw error
  } finally {
    if (timeout > 0) db.exec(`pragma busy_timeout = ${timeout}`)
  }
}

/** Begins a transaction that holds the lock for writing. False where others held it all the time. */
export async function begin(db: SqliteDatabase, patience: Patience): Promise<boolean> {
  return (await whenUnlocked(db, () => db.exec('begin immediate'), patience)) !== undefined
}

/** After what else went wrong; a database that was closed has nothing to roll back. */
export function rollbackQuietly(db: SqliteDatabase): void {
  try {
    if (db.isTransaction) db.exec('rollback')
  } catch {
    // The first error is the one to tell.
  }
}
