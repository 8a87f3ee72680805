import { PolybusError } from '@polybus/core'
import { type Query, isMissingTable, sqlState } from './query.ts'

/** What migrations/postgres.sql says. */
export const schema = (table: string): readonly string[] => [
  `create table if not exists ${table} (
  key text collate "C" primary key,
  -- Of a claim that runs; null once the message was handled.
  fence uuid,
  -- The end of its lease, or of the time that it is remembered.
  until timestamptz not null,
  -- Forgotten while it ran: its completion is not remembered.
  forgotten boolean not null default false
)`,
  `create index if not exists ${table.split('.').at(-1)}_until on ${table} (until)`,
  `create table if not exists ${table}_lines (
  line text collate "C" primary key,
  name text collate "C" not null,
  head_id text not null,
  head_message text not null,
  state text not null
)`,
  `create table if not exists ${table}_parked (
  seq bigint generated always as identity primary key,
  line text collate "C" not null,
  id_key text not null,
  id text not null,
  message text not null,
  unique (line, id_key)
)`,
]

export interface Tables {
  /** Once they are there. */
  ready(): Promise<void>
  /** They are looked for anew: somebody dropped one. */
  lost(): void
}

export interface TablesOptions {
  readonly table: string
  readonly create: boolean
  readonly statement: Query
  readonly transaction: <T>(run: (query: Query) => Promise<T>) => Promise<T>
}

/** Looks once whether the tables are there, and creates those that are missing where that is allowed. */
export function createTables({ table, create, statement, transaction }: TablesOptions): Tables {
  let found: Promise<void> | undefined

  const look = (): Promise<unknown> =>
    statement(
      `select t.key, t.fence, t.until, t.forgotten, l.line, l.name, l.head_id, l.head_message, l.state, p.seq, p.line, p.id_key, p.id, p.message
from ${table} t, ${table}_lines l, ${table}_parked p limit 0`,
    )
  const find = async (): Promise<void> => {
    try {
      await look()
      return
    } catch (error) {
      if (sqlState(error) === '42703')
        throw new PolybusError(
          'TOPOLOGY_CONFLICT',
          `The table ${table} of the idempotency store has other columns than those of migrations/postgres.sql in @polybus/idempotency. Give the store another table.`,
          { cause: error },
        )
      if (!isMissingTable(error)) throw error
      if (!create)
        throw new PolybusError(
          'TOPOLOGY_MISSING',
          `The table ${table} of the idempotency store, or one of ${table}_lines and ${table}_parked, is missing, and may not be created (create: false). Run migrations/postgres.sql of @polybus/idempotency.`,
          { cause: error },
        )
    }
    await transaction(async (query) => {
      // As text: not every client can read nothing. Two that create one table at once: one of them fails, whatever "if not exists" says.
      await query(`select pg_advisory_xact_lock(hashtextextended($1, 0))::text`, [`polybus ${table}`])
      for (const statement of schema(table)) await query(statement)
    })
  }
  return {
    ready() {
      found ??= find().catch((error: unknown) => {
        found = undefined
        throw error
      })
      return found
    },
    lost: () => void (found = undefined),
  }
}
