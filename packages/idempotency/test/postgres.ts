// A harness over a real Postgres of its own, for whatever client.
import { startBroker, type RunningBroker } from '@polybus/brokers'
import { Pool } from 'pg'
import type { DatabaseStoreOptions } from '../src/index.ts'
import type { OpenOptions, OpenStore, StoreHarness } from '../src/testing/index.ts'

/** One that other tests don't take down. */
export const instanceOf = (name: string): string => `stores-${name}`

/** A pool as docs/guide/idempotency.md says one must be: a lost connection ends a process that does not listen for it. */
export function listenedPool(connectionString: string): Pool {
  const pool = new Pool({ connectionString })
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

export interface Client {
  store(options: DatabaseStoreOptions): OpenStore['store'] & { close(): Promise<void> }
  /** `insert into <table> (effect) values (…)` by the handler's own `tx`. */
  write?(tx: unknown, table: string, text: string): Promise<void>
  /** A statement as it is, by the handler's own `tx`. */
  say?(tx: unknown, statement: string): Promise<void>
  close(): Promise<void>
}

export type PostgresHarness = Required<
  Pick<
    StoreHarness,
    'name' | 'kind' | 'parks' | 'prepare' | 'open' | 'effects' | 'rows' | 'fill' | 'server' | 'cleanup'
  >
>

/** `connect` makes a client as an application would. */
export function postgresHarness(
  name: string,
  kind: StoreHarness['kind'],
  connect: (url: string, namespace: string) => Client,
): PostgresHarness {
  const broker = (): Promise<RunningBroker> => startBroker('postgres', { instance: instanceOf(name) })
  const tableOf = (namespace: string): string => `n_${namespace}`
  const effectsOf = (namespace: string): string => `e_${namespace}`

  /** Past the store. */
  const aside = async (...statements: readonly string[]): Promise<Record<string, unknown>[]> => {
    const pool = new Pool({ connectionString: (await broker()).url, max: 1 })
    pool.on('error', () => {})
    try {
      let rows: Record<string, unknown>[] = []
      for (const statement of statements) rows = (await pool.query<Record<string, unknown>>(statement)).rows
      return rows
    } finally {
      await pool.end()
    }
  }
  return {
    name,
    kind,
    parks: true,
    async prepare(namespace) {
      await aside(`create table ${effectsOf(namespace)} (effect text not null)`)
    },
    async open({ namespace, ...options }: OpenOptions) {
      const client = connect((await broker()).url, namespace)
      const { write, say } = client
      const store = client.store({ table: tableOf(namespace), ...options })
      return {
        store,
        ...(write && { write: (tx: unknown, text: string) => write(tx, effectsOf(namespace), text) }),
        ...(say && { say }),
        async close() {
          await store.close()
          await client.close()
        },
      }
    },
    async effects(namespace) {
      return (await aside(`select effect from ${effectsOf(namespace)}`)).map(({ effect }) => String(effect))
    },
    async rows(namespace) {
      return Number((await aside(`select count(*) as count from ${tableOf(namespace)}`))[0]?.['count'])
    },
    async fill(namespace, count) {
      await aside(
        `insert into ${tableOf(namespace)} (key, until) select 'orders:filled:polybus:' || gen_random_uuid(), now() + interval '7 days' from generate_series(1, ${count})`,
        `analyze ${tableOf(namespace)}`,
      )
    },
    server: {
      kill: async () => (await broker()).kill(),
      start: async () => (await broker()).start(),
      pause: async () => (await broker()).pause(),
      resume: async () => (await broker()).resume(),
    },
    async cleanup(namespace) {
      const table = tableOf(namespace)
      await aside(`drop table if exists ${effectsOf(namespace)}, ${table}, ${table}_lines, ${table}_parked`)
    },
  }
}
