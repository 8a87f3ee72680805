// What is shipped for `create: false` is what the stores would create.
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { sqliteClaimStore, sqliteStore } from '../src/index.ts'
import { schema as postgres } from '../src/postgres/schema.ts'
import { schema as sqlite } from '../src/sqlite/schema.ts'

const shipped = (name: string): string => readFileSync(new URL(`../migrations/${name}.sql`, import.meta.url), 'utf8')

test.each([
  ['postgres', postgres],
  ['sqlite', sqlite],
] as const)('%s: the migration is what the store creates, statement by statement', (name, schema) => {
  const statements = shipped(name)
    .replace(/^--.*\n/, '')
    .split(';\n')
    .map((statement) => statement.trim())
  expect(statements).toEqual([...schema('polybus_handled'), ''])
})

test.each([
  ['sqliteStore', sqliteStore],
  ['sqliteClaimStore', sqliteClaimStore],
])('%s: with create: false missing tables are refused, and the error says what to run', async (_, open) => {
  const db = new DatabaseSync(':memory:')
  const store = open(db, { create: false })
  const call = { signal: new AbortController().signal }
  const use = async (): Promise<unknown> =>
    store.kind === 'claim' ? store.claim('a', 1000) : store.run('a', () => Promise.resolve(), call)
  await expect(use()).rejects.toMatchObject({
    code: 'TOPOLOGY_MISSING',
    message: expect.stringMatching(/polybus_handled.*create: false.*migrations\/sqlite\.sql/s),
  })
  expect(db.prepare('select count(*) as count from sqlite_master').get()).toEqual({ count: 0 })

  db.exec(shipped('sqlite'))
  expect(await use()).not.toBe('busy')
  await store.close()
})

test('sqliteStore: a table of that name with other columns is refused, and left as it is', async () => {
  const db = new DatabaseSync(':memory:')
  db.exec('create table polybus_handled (id integer)')
  const run = sqliteStore(db).run('a', () => Promise.resolve(), { signal: new AbortController().signal })
  await expect(run).rejects.toMatchObject({ code: 'TOPOLOGY_CONFLICT', message: expect.stringContaining('table') })
})
