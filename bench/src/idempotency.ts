// What a store costs a message: the same consumer without one and with each, on real servers that are this run's own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beginRun, type BrokerName, BrokerUnavailable, type RunningBroker, startBroker } from '@polybus/brokers'
import { memoryStore, pgClaimStore, pgStore, redisStore, sqliteClaimStore, sqliteStore } from '@polybus/idempotency'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import type { IdempotencyStore } from 'polybus'
import type { Prepared, Scenario } from './measure.ts'
import { CONCURRENCY, halves, plain } from './scenarios.ts'

/** What a handler does before it is done. */
export const HANDLERS: Readonly<Record<string, (done: () => void) => Promise<void> | void>> = {
  'a handler that does nothing': (done) => done(),
  'a handler that awaits a turn of the event loop': async (done) => {
    await new Promise((resolve) => setImmediate(resolve))
    done()
  },
}

interface Opened<Tx> {
  readonly store: IdempotencyStore<Tx> | undefined
  close(): Promise<void> | void
}
interface Row {
  readonly name: string
  readonly what: string
  prepare(handler: string): Promise<Prepared>
}
export interface StoreBench {
  scenarios(handler: string): readonly Scenario[]
  /** Why a row is not there. */
  readonly leftOut: readonly string[]
  end(): Promise<void>
}

export async function openStoreBench(): Promise<StoreBench> {
  const run = beginRun()
  const folder = mkdtempSync(join(tmpdir(), 'polybus-bench-'))
  const leftOut: string[] = []
  const brokers: RunningBroker[] = []
  const start = async (name: BrokerName): Promise<RunningBroker | undefined> => {
    try {
      const broker = await startBroker(name, { instance: 'bench' })
      brokers.push(broker)
      return broker
    } catch (error) {
      if (!(error instanceof BrokerUnavailable)) throw error
      leftOut.push(`${name}: ${error.message}`)
      return undefined
    }
  }
  const end = async (): Promise<void> => {
    for (const broker of brokers) await broker.remove()
    await run.end()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const [redis, postgres] = [await start('redis'), await start('postgres')]
    const rows = [
      row('no store', 'the consumer as it is', () => ({ store: undefined, close() {} })),
      row('memory', 'claims, answered at once', () => ({ store: memoryStore({ max: 1_000_000 }), close() {} })),
      ...(redis ? redisRows(redis) : []),
      ...sqliteRows(folder),
      ...(postgres ? postgresRows(postgres) : []),
    ]
    const scenarios: StoreBench['scenarios'] = (handler) =>
      rows.map(({ name, what, prepare }) => ({ name, what, prepare: () => prepare(handler) }))
    return { scenarios, leftOut, end }
  } catch (error) {
    await end()
    throw error
  }
}

const row = <Tx>(name: string, what: string, open: () => Opened<Tx>): Row => ({
  name,
  what,
  async prepare(handler) {
    const { store, close } = open()
    const prepared = await halves('consume', plain, { idempotency: store }, HANDLERS[handler] ?? ((done) => done()))
    return {
      run: prepared.run,
      async close() {
        await prepared.close()
        await close()
      },
    }
  },
})

const redisRows = ({ url }: RunningBroker): readonly Row[] => [
  row('redis', 'claims that come together are one command; the server syncs every write', () => {
    const client = new Redis(url)
    return { store: redisStore(client), close: () => client.disconnect() }
  }),
]

function sqliteRows(folder: string): readonly Row[] {
  let files = 0
  const database = (): DatabaseSync => new DatabaseSync(join(folder, `${++files}.db`))
  return [
    row('sqlite claims', 'claims of a batch in one transaction', () => {
      const db = database()
      const store = sqliteClaimStore(db)
      return {
        store,
        async close() {
          await store.close()
          db.close()
        },
      }
    }),
    row('sqlite tx', 'a transaction a message, one at a time', () => {
      const db = database()
      const store = sqliteStore(db)
      return {
        store,
        async close() {
          await store.close()
          db.close()
        },
      }
    }),
  ]
}

function postgresRows({ url }: RunningBroker): readonly Row[] {
  const pool = (): Pool => new Pool({ connectionString: url, max: CONCURRENCY + 4 })
  return [
    row('postgres claims', 'claims, one round trip a batch', () => {
      const client = pool()
      const store = pgClaimStore(client)
      return {
        store,
        async close() {
          await store.close()
          await client.end()
        },
      }
    }),
    row('postgres tx', `a transaction a message, ${CONCURRENCY} at a time`, () => {
      const client = pool()
      const store = pgStore(client)
      return {
        store,
        async close() {
          await store.close()
          await client.end()
        },
      }
    }),
  ]
}
