// Stores beneath a bus: a consumer's handler, a real database.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, fixed, trust } from '@polybus/core'
import { type TestBus, testBus } from '@polybus/testkit'
import { Pool, type PoolClient } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { pgClaimStore, pgStore, sqliteStore } from '../src/index.ts'
import { instanceOf } from './postgres.ts'

const orders = channel('orders', { schema: trust<{ id: string }>(), groups: ['charge'] })
const retry = { attempts: 2, backoff: fixed('10ms') }

async function deadLettersOf(bus: TestBus): Promise<readonly unknown[]> {
  const all: unknown[] = []
  for await (const letter of bus.deadLetters(orders, 'charge').list()) all.push(letter)
  return all
}

test('sqlite: charges once, rolls back what failed, and dead-letters what fails at the commit', async () => {
  const db = new DatabaseSync(':memory:')
  db.exec('pragma foreign_keys = on')
  db.exec('create table customers (id text primary key)')
  db.exec(
    'create table charges (id text primary key, customer text references customers deferrable initially deferred)',
  )
  db.exec("insert into customers values ('ann')")
  const store = sqliteStore(db)
  const charge = consumer(orders, 'charge', {
    idempotency: store,
    retry,
    handler({ id }, { tx, attempt }) {
      tx.prepare('insert into charges values (?, ?)').run(id, id === 'nobody' ? 'nobody' : 'ann')
      if (id === 'again' && attempt === 1) throw new Error('try again')
    },
  })
  const bus = await testBus({ consumers: [charge] })
  onTestFinished(() => bus.close())
  for (const id of ['o-1', 'o-1', 'again', 'nobody', 'o-2']) await bus.publish(orders, { id }, { id })
  await bus.settled()
  const ids = db
    .prepare('select id from charges order by id')
    .all()
    .map((row) => row['id'])
  expect(ids).toEqual(['again', 'o-1', 'o-2'])
  const dead = await deadLettersOf(bus)
  expect(dead).toHaveLength(1)
  expect(dead[0]).toMatchObject({ reason: 'attempts-exhausted', error: { name: 'TRANSACTION_FAILED' } })
  await store.close()
})

await describeBroker(
  'postgres',
  (postgres) => {
    const poolOf = (): Pool => {
      const pool = new Pool({ connectionString: postgres().url, max: 20 })
      onTestFinished(() => pool.end())
      return pool
    }

    test('pg: a handler that swallows the failure of its own statement has failed: it is tried again, then dead-lettered', async () => {
      const pool = poolOf()
      await pool.query('create table if not exists swallowed (id text primary key)')
      const store = pgStore(pool, { table: 'swallowing' })
      const charge = consumer(orders, 'charge', {
        idempotency: store,
        retry,
        async handler({ id }, { tx }) {
          await tx.query('insert into swallowed values ($1)', [id])
          await tx.query('select 1 / 0').catch(() => {})
        },
      })
      const bus = await testBus({ consumers: [charge] })
      onTestFinished(() => bus.close())
      await bus.publish(orders, { id: 'o-1' })
      await bus.settled()
      expect((await pool.query('select * from swallowed')).rows).toEqual([])
      const dead = await deadLettersOf(bus)
      expect(dead[0]).toMatchObject({
        reason: 'attempts-exhausted',
        attempts: 2,
        error: { name: 'TRANSACTION_FAILED' },
      })
      await store.close()
    })

    test('pg: tables that are missing and may not be made refuse the start', async () => {
      const store = pgStore(poolOf(), { table: 'never_made', create: false })
      const charge = consumer(orders, 'charge', { idempotency: store, handler: () => {} })
      await expect(testBus({ consumers: [charge] })).rejects.toMatchObject({
        code: 'TOPOLOGY_MISSING',
        message: expect.stringContaining('never_made'),
      })
    })

    test('pg: a server that dies in the moment in which a connection is ready does not end the process', async () => {
      const said = (type: string, body: Buffer): Buffer => {
        const head = Buffer.alloc(5)
        head.write(type)
        head.writeInt32BE(body.length + 4, 1)
        return Buffer.concat([head, body])
      }
      const dying = createServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', () =>
          socket.end(
            Buffer.concat([
              said('R', Buffer.alloc(4)),
              said('Z', Buffer.from('I')),
              said('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection\0\0')),
            ]),
          ),
        )
      }).listen(0, '127.0.0.1')
      await once(dying, 'listening')
      const { port } = dying.address() as AddressInfo
      const pool = new Pool({ host: '127.0.0.1', port, user: 'a', database: 'b', password: 'c' })
      const store = pgStore(pool)
      try {
        await expect(store.ready?.()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      } finally {
        await store.close()
        await pool.end()
        dying.close()
      }
    })

    test('pg: a handler that takes longer than the server lets a transaction be idle has failed: it is counted, and does not stop the others', async () => {
      const pool = new Pool({
        connectionString: postgres().url,
        max: 5,
        options: '-c idle_in_transaction_session_timeout=150',
      })
      onTestFinished(() => pool.end())
      const store = pgStore(pool, { table: 'idling' })
      const seen: string[] = []
      const charge = consumer(orders, 'charge', {
        idempotency: store,
        retry,
        async handler({ id }) {
          if (id === 'slow') await new Promise((resolve) => setTimeout(resolve, 600))
          seen.push(id)
        },
      })
      const bus = await testBus({ consumers: [charge] })
      onTestFinished(() => bus.close())
      await bus.publish(orders, { id: 'slow' })
      await bus.publish(orders, { id: 'quick' })
      await bus.settled()
      expect(seen.toSorted()).toEqual(['quick', 'slow', 'slow'])
      const dead = await deadLettersOf(bus)
      expect(dead).toMatchObject([{ id: expect.any(String), attempts: 2, error: { name: 'TRANSACTION_FAILED' } }])
      await store.close()
    })

    test('pg: a handler past its time is rolled back, and its tx refuses use', async () => {
      const pool = poolOf()
      await pool.query('create table if not exists late (id text, attempt int)')
      const store = pgStore(pool, { table: 'timing' })
      const refusals: unknown[] = []
      const charge = consumer(orders, 'charge', {
        idempotency: store,
        retry,
        timeout: '300ms',
        async handler({ id }, { tx, attempt, signal }) {
          await tx.query('insert into late values ($1, $2)', [id, attempt])
          if (attempt > 1) return
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          await Promise.resolve()
          try {
            await tx.query('insert into late values ($1, 0)', [id])
          } catch (error) {
            refusals.push(error)
          }
        },
      })
      const bus = await testBus({ consumers: [charge] })
      onTestFinished(() => bus.close())
      await bus.publish(orders, { id: 'o-1' })
      await bus.settled()
      expect((await pool.query('select attempt from late')).rows).toEqual([{ attempt: 2 }])
      expect(refusals).toHaveLength(1)
      await store.close()
    })

    test('pg: the claims of a turn are one statement, and so are their completions', async () => {
      const pool = poolOf()
      const statements: string[] = []
      const counted = {
        async connect(): Promise<PoolClient> {
          const client = await pool.connect()
          return new Proxy(client, {
            get(target, name) {
              if (name !== 'query') return Reflect.get(target, name, target) as unknown
              return (text: string, values: unknown[]) => {
                statements.push(text)
                return target.query(text, values)
              }
            },
          })
        },
      }
      const store = pgClaimStore(counted, { table: 'counted' })
      await store.claim('first', 1000)
      statements.length = 0
      const keys = Array.from({ length: 200 }, (_, index) => `k${index}`)
      const claims = await Promise.all(keys.map((key) => store.claim(key, 60_000)))
      expect(statements).toHaveLength(1)
      expect(new Set(claims.map(({ status }) => status))).toEqual(new Set(['claimed']))
      const done = await Promise.all(
        claims.map((claim, index) => store.complete(keys[index] ?? '', 'fence' in claim ? claim.fence : undefined)),
      )
      expect(statements).toHaveLength(2)
      expect(new Set(done)).toEqual(new Set([true]))
      await store.close()
    })

    test('pg: with create: false a missing table is refused, and the error says what to run', async () => {
      const store = pgStore(poolOf(), { table: 'never_made', create: false })
      const run = store.run('a', () => Promise.resolve(), { signal: new AbortController().signal })
      await expect(run).rejects.toMatchObject({
        code: 'TOPOLOGY_MISSING',
        message: expect.stringMatching(/never_made.*create: false.*migrations\/postgres\.sql/s),
      })
      await store.close()
    })

    test('pg: many processes that start at once make the tables once', async () => {
      const stores = Array.from({ length: 8 }, () => pgStore(poolOf(), { table: 'crowded' }))
      const outcomes = await Promise.all(
        stores.map((store, index) =>
          store.run(`k${index}`, () => Promise.resolve(), { signal: new AbortController().signal }),
        ),
      )
      expect(new Set(outcomes)).toEqual(new Set(['done']))
      await Promise.all(stores.map((store) => store.close()))
    })
  },
  { instance: instanceOf('bus') },
)
