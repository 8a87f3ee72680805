import { PolybusError } from '@polybus/core'
import type { SqliteDatabase } from './database.ts'

/** What migrations/sqlite.sql says. */
export const schema = (table: string): readonly string[] => [
  `create table if not exists ${table} (
  key text primary key,
  -- Of a claim that runs; null once the message was handled.
  fence text,
  -- The end of its lease, or of the time that it is remembered: milliseconds since 1970.
  until integer not null,
  -- Forgotten while it ran: its completion is not remembered.
  forgotten integer not null default 0
) without rowid`,
  `create index if not exists ${table}_until on ${table} (until)`,
  `create table if not exists ${table}_lines (
  line text primary key,
  name text not null,
  head_id text not null,
  head_message text not null,
  state text not null
) without rowid`,
  `create table if not exists ${table}_parked (
  seq integer primary key autoincrement,
  line text not null,
  id_key text not null,
  id text not null,
  message text not null,
  unique (line, id_key)
)`,
]

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  '': ['key', 'fence', 'until', 'forgotten'],
  _lines: ['line', 'name', 'head_id', 'head_message', 'state'],
  _parked: ['seq', 'line', 'id_key', 'id', 'message'],
}

/** @throws {PolybusError} `TOPOLOGY_CONFLICT` where a table is there that is another one. */
export function missingTables(db: SqliteDatabase, table: string): readonly string[] {
  return Object.entries(COLUMNS).flatMap(([suffix, columns]) => {
    const name = table + suffix
    const found = db.prepare(`select name from pragma_table_info('${name}')`).all() as { name: string }[]
    if (found.length === 0) return [name]
    if (columns.some((column) => !found.some((one) => one.name === column)))
      throw new PolybusError(
        'TOPOLOGY_CONFLICT',
        `The table ${name} of the idempotency store has other columns than those of migrations/sqlite.sql in @polybus/idempotency. Give the store another table.`,
      )
    return []
  })
}

export function refuseMissing(names: readonly string[]): PolybusError {
  return new PolybusError(
    'TOPOLOGY_MISSING',
    `The idempotency store needs the table ${names.join(' and ')}, which may not be created (create: false). Run migrations/sqlite.sql of @polybus/idempotency.`,
  )
}
