// What a handler says to the database must not end the store's transaction.
import { describe, expect, onTestFinished, test } from 'vitest'
import { DatabaseSync } from 'node:sqlite'
import { refuseOwnEnd } from '../src/own-end.ts'
import { sqliteStore } from '../src/index.ts'

const call = { signal: new AbortController().signal }

describe('statements', () => {
  test.each([
    'commit',
    ' COMMIT AND CHAIN;',
    'begin',
    'start transaction isolation level serializable',
    'end',
    'abort',
    'rollback',
    'ROLLBACK WORK',
    "prepare transaction 'x'",
    'insert into t values (1); commit',
    '/* why */ -- not\n commit',
    "select ';'; rollback",
  ])('%s is refused', (text) => {
    expect(() => refuseOwnEnd(text)).toThrow('The store owns this transaction')
    expect(() => refuseOwnEnd({ text })).toThrow('The store owns this transaction')
  })
  test.each([
    'select case when a then b end from t',
    "insert into t values ('commit; rollback')",
    `insert into "commit" values (1)`,
    'savepoint s',
    'rollback to s',
    'rollback transaction to savepoint s',
    'release s',
    'select 1 -- ; commit',
    'do $$ begin perform 1; end $$',
    'do $body$ begin perform 1; end $body$; select 1',
    "insert into t values (E'it\\'s; commit')",
    'update orders set commit = 1',
    'prepare plan as select 1',
  ])('%s is not', (text) => {
    expect(() => refuseOwnEnd(text)).not.toThrow()
    expect(() => refuseOwnEnd({ text })).not.toThrow()
  })
  test('what is no text is not looked at', () => {
    for (const value of [undefined, null, 1, {}, { text: 1 }]) expect(() => refuseOwnEnd(value)).not.toThrow()
  })
})

describe('sqlite: a connection that others use too', () => {
  const open = (options: object = {}) => {
    const db = new DatabaseSync(':memory:')
    db.exec('create table mine (n int)')
    const store = sqliteStore(db, options)
    onTestFinished(async () => {
      await store.close()
      db.close()
    })
    return { db, store }
  }
  test('a transaction of the application is not rolled back by a store that waits for it', async () => {
    const { db, store } = open({ timeout: '50ms' })
    await store.ready?.()
    db.exec('begin')
    db.exec('insert into mine values (1)')
    expect(await store.run('k', async () => {}, call)).toBe('busy')
    db.exec('insert into mine values (2)')
    db.exec('commit')
    expect(db.prepare('select n from mine order by n').all()).toEqual([{ n: 1 }, { n: 2 }])
    expect(await store.run('k', async () => {}, call)).toBe('done')
  })
  test('what ended the transaction beside tx leaves no record of a handler that then failed', async () => {
    const { db, store } = open()
    await expect(
      store.run(
        'k',
        async () => {
          db.exec('commit')
          throw new Error('after it')
        },
        call,
      ),
    ).rejects.toThrow('after it')
    expect(await store.run('k', async () => {}, call)).toBe('done')
  })
  test('a database that is closed is told as ours', async () => {
    const db = new DatabaseSync(':memory:')
    const store = sqliteStore(db)
    await store.ready?.()
    db.close()
    await expect(store.run('k', async () => {}, call)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })
})
