// A harness over files of SQLite.
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { DatabaseStoreOptions } from '../src/index.ts'
import type { OpenOptions, OpenStore, StoreHarness } from '../src/testing/index.ts'

export type SqliteHarness = Required<
  Pick<StoreHarness, 'name' | 'kind' | 'parks' | 'prepare' | 'open' | 'effects' | 'rows' | 'fill' | 'cleanup'>
>

export function sqliteHarness(
  name: string,
  kind: StoreHarness['kind'],
  make: (db: DatabaseSync, options: DatabaseStoreOptions) => OpenStore['store'] & { close(): Promise<void> },
): SqliteHarness {
  const folder = join(tmpdir(), 'polybus-stores')
  const fileOf = (namespace: string): string => join(folder, `${name}-${namespace}.db`)

  /** Past the store. */
  const aside = <T>(namespace: string, use: (db: DatabaseSync) => T): T => {
    const db = new DatabaseSync(fileOf(namespace), { timeout: 5000 })
    try {
      return use(db)
    } finally {
      db.close()
    }
  }
  return {
    name,
    kind,
    parks: true,
    prepare(namespace) {
      mkdirSync(folder, { recursive: true })
      aside(namespace, (db) => db.exec('create table effects (effect text not null)'))
      return Promise.resolve()
    },
    open({ namespace, ...options }: OpenOptions) {
      const db = new DatabaseSync(fileOf(namespace))
      const store = make(db, options)
      return {
        store,
        write: async (tx, text) => void (tx as DatabaseSync).prepare('insert into effects values (?)').run(text),
        say: async (tx, statement) => (tx as DatabaseSync).exec(statement),
        async close() {
          await store.close()
          db.close()
        },
      }
    },
    effects: (namespace) =>
      Promise.resolve(
        aside(namespace, (db) => db.prepare('select effect from effects').all()).map(({ effect }) => String(effect)),
      ),
    rows: (namespace) =>
      Promise.resolve(
        aside(namespace, (db) => Number(db.prepare('select count(*) as count from polybus_handled').get()?.['count'])),
      ),
    fill(namespace, count) {
      aside(namespace, (db) =>
        db
          .prepare(
            `with recursive n (i) as (select 1 union all select i + 1 from n where i < ?)
insert into polybus_handled (key, until) select 'orders:filled:polybus:' || lower(hex(randomblob(16))), unixepoch() * 1000 + 604800000 from n`,
          )
          .run(count),
      )
      return Promise.resolve()
    },
    cleanup(namespace) {
      for (const end of ['', '-wal', '-shm']) if (existsSync(fileOf(namespace) + end)) rmSync(fileOf(namespace) + end)
      return Promise.resolve()
    },
  }
}
