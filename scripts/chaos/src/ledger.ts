// The ledger: a table of charges, each row an effect. Nothing keeps a second one from being written, so that it can be seen.
import { DatabaseSync } from 'node:sqlite'
import { Client } from 'pg'
import type { Effect } from './account.ts'
import type { Charge } from './purchases.ts'

/** A claim store's ledger lies in a file beside it. */
export type StorePlace =
  | { readonly kind: 'postgres'; readonly url: string }
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'redis'; readonly url: string; readonly ledger: string }

export interface Ledger {
  count(): Promise<Counted>
  /** In the order of writing. */
  effects(): Promise<readonly Effect[]>
  close(): Promise<void>
}
export interface Counted {
  readonly effects: number
  readonly handled: number
}

const COLUMNS =
  'seq integer not null, customer text not null, cents integer not null, member text not null, at bigint not null'
const COUNT = 'select count(*) as effects, count(distinct seq) as handled from effects'
const ALL = 'select seq, customer, member as "by", at from effects order by place'

/** For Postgres, with the values behind it. */
export const INSERT_PG = 'insert into effects (seq, customer, cents, member, at) values ($1, $2, $3, $4, $5)'
export const INSERT_SQLITE = 'insert into effects (seq, customer, cents, member, at) values (?, ?, ?, ?, ?)'
export const rowOf = ({ seq, customer, cents }: Charge, by: string): [number, string, number, string, number] => [
  seq,
  customer,
  cents,
  by,
  Date.now(),
]

/** The parent's view of it; makes the table. */
export async function openLedger(place: StorePlace): Promise<Ledger> {
  if (place.kind === 'postgres') {
    await query(place.url, `create table effects (place bigint generated always as identity primary key, ${COLUMNS})`)
    return {
      count: async () => counted((await query(place.url, COUNT))[0]),
      effects: async () => (await query(place.url, ALL)).map(toEffect),
      close: () => Promise.resolve(),
    }
  }
  const db = openFile(place.kind === 'sqlite' ? place.file : place.ledger)
  db.exec(`create table effects (place integer primary key autoincrement, ${COLUMNS})`)
  return {
    count: async () => counted(db.prepare(COUNT).get()),
    effects: async () => db.prepare(ALL).all().map(toEffect),
    async close() {
      db.close()
    },
  }
}

/** With readers that don't wait for the writer. */
export function openFile(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 5000 })
  db.exec('pragma journal_mode = wal')
  return db
}

type Row = Readonly<Record<string, unknown>>

/** By a connection of its own: the server goes away now and then. */
async function query(url: string, text: string): Promise<Row[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  // Whoever waits for an answer hears of it there.
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

const counted = (row: Row | undefined): Counted => ({
  effects: Number(row?.['effects']),
  handled: Number(row?.['handled']),
})
const toEffect = (row: Row): Effect => ({
  seq: Number(row['seq']),
  customer: String(row['customer']),
  by: String(row['by']),
  at: Number(row['at']),
})
