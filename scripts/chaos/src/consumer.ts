// A process that charges: one row of the ledger for each purchase.
import { openSync, writeSync } from 'node:fs'
import { pgStore, redisStore, sqliteStore } from '@polybus/idempotency'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { type BusEvent, consumer, type Consumer } from 'polybus'
import { connectBy } from './access.ts'
import { obey, persist, type Running } from './child.ts'
import { INSERT_PG, INSERT_SQLITE, openFile, rowOf } from './ledger.ts'
import type { ConsumerOrders } from './protocol.ts'
import { charges, GROUP } from './purchases.ts'
import { effectsOf } from './sabotage.ts'

const CONCURRENCY = 16

interface Charging {
  readonly consumer: Consumer
  close(): Promise<void>
}

function chargingInto({ store: place, name }: ConsumerOrders): Charging {
  if (place.kind === 'postgres') {
    const pool = new Pool({ connectionString: place.url, max: CONCURRENCY + 4 })
    const store = pgStore(pool)
    return {
      consumer: consumer(charges, GROUP, {
        concurrency: CONCURRENCY,
        idempotency: store,
        async handler(charge, { tx }) {
          for (const effect of effectsOf(charge)) await tx.query(INSERT_PG, rowOf(effect, name))
        },
      }),
      async close() {
        await store.close()
        await pool.end()
      },
    }
  }
  if (place.kind === 'sqlite') {
    const db = openFile(place.file)
    const store = sqliteStore(db)
    return {
      consumer: consumer(charges, GROUP, {
        concurrency: CONCURRENCY,
        idempotency: store,
        handler(charge, { tx }) {
          for (const effect of effectsOf(charge)) tx.prepare(INSERT_SQLITE).run(...rowOf(effect, name))
        },
      }),
      async close() {
        await store.close()
        db.close()
      },
    }
  }
  const redis = new Redis(place.url)
  // Every call says what went wrong.
  redis.on('error', () => {})
  const db = openFile(place.ledger)
  const insert = db.prepare(INSERT_SQLITE)
  return {
    consumer: consumer(charges, GROUP, {
      concurrency: CONCURRENCY,
      idempotency: redisStore(redis),
      handler(charge) {
        for (const effect of effectsOf(charge)) insert.run(...rowOf(effect, name))
      },
    }),
    async close() {
      redis.disconnect()
      db.close()
    },
  }
}

async function start(orders: ConsumerOrders): Promise<Running> {
  const { access, namespace } = orders
  const fd = openSync(orders.absorbed, 'a')
  const observe = ({ kind }: BusEvent): void => {
    // A file outlives the process, whatever ends it.
    if (kind === 'duplicate') writeSync(fd, '.')
  }
  const charging = chargingInto(orders)
  const bus = await persist(() => connectBy(access, { namespace, service: 'shop', observe }))
  await persist(() => bus.start(charging.consumer))
  return {
    async stop() {
      await bus.close()
      await charging.close()
    },
  }
}

obey(start)
