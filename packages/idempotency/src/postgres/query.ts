// What the stores say to Postgres, whoever carries it there.
import type { GuardOptions } from '../guard.ts'

export type Value = string | number | readonly string[] | readonly number[]
export type Row = Readonly<Record<string, unknown>>

/** Runs one statement with `$1`, `$2`, … and answers its rows. */
export type Query = (text: string, values?: readonly Value[]) => Promise<readonly Row[]>

/** What a client of Postgres has to be able to do. When the signal aborts nobody waits any more: then it may throw the connection away. */
export interface Client<Tx> {
  /** One statement that stands for itself. */
  statement(text: string, values: readonly Value[], signal: AbortSignal): Promise<readonly Row[]>
  /** Commits when `run` resolves, rolls back when it rejects. */
  transaction<T>(run: (tx: Tx, query: Query) => Promise<Ending<T>>, signal: AbortSignal): Promise<T>
  /** Statements within that transaction. */
  queryOf(tx: Tx): Query
  readonly guarding?: GuardOptions
  /** The guard reads what a handler sends, and refuses that it ends the transaction itself. */
  readonly refusesOwnEnd: boolean
}
/** What a transaction comes to. */
export interface Ending<T> {
  readonly value: T
  /** Said before the commit; where it fails nothing is committed. With the commit in one round trip, where the client can. */
  readonly last?: string
}

/** The statement with its values in it, for clients that take no more than a text. */
export function inline(text: string, values: readonly Value[] = []): string {
  return text.replaceAll(/\$(\d+)/g, (_, index: string) => literal(values[Number(index) - 1] ?? ''))
}

/** Texts as hexadecimal digits: nothing in them can be read as SQL. */
function literal(value: Value): string {
  if (typeof value === 'number') return String(Number(value))
  if (typeof value === 'string') return `convert_from('\\x${Buffer.from(value).toString('hex')}', 'UTF8')`
  return `array[${value.map(literal).join()}]`
}

/** Postgres's own code of what went wrong, however deep a client has wrapped it. Undefined where the server did not say it. */
export function sqlState(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > 5) return undefined
  for (const name of ['code', 'originalCode']) {
    const code: unknown = Reflect.get(error, name)
    // Prisma's own codes, such as P2010, have that form too.
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^P[12]\d{3}$/.test(code)) return code
  }
  for (const name of ['cause', 'meta', 'driverAdapterError']) {
    const found = sqlState(Reflect.get(error, name), depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}

/** Another transaction was in the way; asked again it may go. */
export const isConflict = (error: unknown): boolean => ['40001', '40P01', '55P03'].includes(sqlState(error) ?? '')
export const isMissingTable = (error: unknown): boolean => sqlState(error) === '42P01'

/** The server refused what the transaction did; not that it went away, was shut down, or is full. */
export function isRefusal(error: unknown): boolean {
  const state = sqlState(error)
  return state !== undefined && !/^(08|53|57|58|XX)/.test(state)
}
