import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import {
  drizzleStore,
  kyselyStore,
  pgClaimStore,
  pgStore,
  prismaStore,
  sqliteClaimStore,
  sqliteStore,
} from '../src/index.ts'

const refuse = (make: () => unknown, ...texts: readonly string[]): void => {
  for (const text of texts)
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(text) }))
}
const stores: Readonly<Record<string, (client: never, options?: never) => unknown>> = {
  pgStore,
  pgClaimStore,
  drizzleStore,
  kyselyStore,
  prismaStore,
  sqliteStore,
  sqliteClaimStore,
}
const db = new DatabaseSync(':memory:')
const client = {
  connect() {},
  transaction() {},
  execute() {},
  executeQuery() {},
  $transaction() {},
  exec: (sql: string) => db.exec(sql),
  prepare: (sql: string) => db.prepare(sql),
}

test.each(Object.entries(stores))('%s: what is no client of its kind is refused, and not shown', (name, make) => {
  for (const wrong of [undefined, null, 'postgres://me:secret@host/db', {}]) {
    refuse(() => make(wrong as never), `${name}()`)
    expect(() => make(wrong as never)).not.toThrow('secret')
  }
})

test.each(Object.entries(stores))('%s: wrong options are refused, and the field is named', (name, make) => {
  for (const [options, field] of [
    [{ ttl: 'soon' }, 'ttl'],
    [{ ttl: '0ms' }, 'ttl'],
    [{ timeout: 5 }, 'timeout'],
    [{ cleanEvery: '1ms' }, 'cleanEvery'],
    [{ table: 'drop table x' }, 'table'],
    [{ table: 'Handled' }, 'table'],
    [{ create: 'no' }, 'create'],
    [{ onError: 1 }, 'onError'],
    [{ clock: {} }, 'clock'],
    [{ tabel: 'x' }, 'tabel'],
  ] as const)
    refuse(() => make(client as never, options as never), `${name}().${field}`)
  expect(make(client as never, { ttl: '30d', table: 'handled', timeout: '1s' } as never)).toMatchObject({})
})
