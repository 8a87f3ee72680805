// Order over dead letters with real databases beneath a bus: the advance of a line is part of the handler's transaction.
import { DatabaseSync } from 'node:sqlite'
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, type IdempotencyStore, trust } from '@polybus/core'
import { memory } from '@polybus/memory'
import { testBus } from '@polybus/testkit'
import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { pgClaimStore, pgStore, sqliteStore } from '../src/index.ts'
import { instanceOf } from './postgres.ts'

interface Order {
  readonly id: string
  readonly customer: string
}
const orders = channel('orders', {
  schema: trust<Order>(),
  key: (order) => order.customer,
  groups: ['charge'],
})

/** Dead letter, replay, discard: what was written, in its order. */
async function play<Tx>(
  store: IdempotencyStore<Tx>,
  write: (tx: Tx, id: string) => unknown,
  name: string,
): Promise<void> {
  const bad = new Set(['a1', 'a3'])
  const charge = consumer(orders, 'charge', {
    deadLetter: 'in-order',
    idempotency: store,
    retry: false,
    async handler({ id }, { tx }) {
      await write(tx, id)
      if (bad.has(id)) throw new Error('not yet')
    },
  })
  const bus = await testBus({ broker: memory(name), consumers: [charge] })
  onTestFinished(() => bus.close())
  for (const id of ['a1', 'a2', 'b1', 'a3', 'a4', 'a1'])
    await bus.publish(orders, { id, customer: id.slice(0, 1) }, { id })
  await bus.settled()
  const keys = async (): Promise<unknown[]> => {
    const found: unknown[] = []
    for await (const key of bus.deadLetters(orders, 'charge').parked()) found.push(key)
    return found
  }
  // The copy of a1 is no other message: it is the head, fails again, and waits for nobody.
  expect(await keys()).toEqual([{ key: 'a', head: 'a1', state: 'dead', waiting: 3 }])
  bad.delete('a1')
  const letters = bus.deadLetters(orders, 'charge')
  await letters.replay({})
  await bus.settled()
  expect(await keys()).toEqual([{ key: 'a', head: 'a3', state: 'dead', waiting: 1 }])
  expect(await letters.discard({})).toEqual({ done: 1, failed: 0 })
  await bus.settled()
  expect(await keys()).toEqual([])
}

test('sqlite: the order holds over dead letters, and nothing that failed was written', async () => {
  const db = new DatabaseSync(':memory:')
  db.exec('create table charges (n integer primary key, id text unique)')
  const store = sqliteStore(db)
  await play(store, (tx, id) => tx.prepare('insert into charges (id) values (?)').run(id), 'parked-sqlite')
  expect(db.prepare('select id from charges order by n').all()).toEqual(['b1', 'a1', 'a2', 'a4'].map((id) => ({ id })))
  await store.close()
})

await describeBroker(
  'postgres',
  (postgres) => {
    const poolOf = (): Pool => {
      // Two connections: a store that took a second one within a transaction would wait for ever.
      const pool = new Pool({ connectionString: postgres().url, max: 2 })
      onTestFinished(() => pool.end())
      return pool
    }
    test('pg: the order holds over dead letters, and nothing that failed was written', async () => {
      const pool = poolOf()
      await pool.query('create table in_order (n serial, id text unique)')
      const store = pgStore(pool, { table: 'parking' })
      await play(store, (tx, id) => tx.query('insert into in_order (id) values ($1)', [id]), 'parked-pg')
      const { rows } = await pool.query('select id from in_order order by n')
      expect(rows).toEqual(['b1', 'a1', 'a2', 'a4'].map((id) => ({ id })))
      await store.close()
    })
    test('pg: claims keep the order over dead letters too', async () => {
      const store = pgClaimStore(poolOf(), { table: 'parking_claims' })
      const done: string[] = []
      await play(store, (_, id) => done.push(id), 'parked-pg-claims')
      expect(done.at(-1)).toBe('a4')
      await store.close()
    })
  },
  { instance: instanceOf('parked') },
)
