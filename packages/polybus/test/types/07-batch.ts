import { consumer } from 'polybus'
import { pgStore } from '@polybus/idempotency'
import { Pool, type PoolClient } from 'pg'
import { orders } from './02-typed.ts'
import { is, type Eq } from './00-types.ts'
declare function bulkIndex(rows: { id: string }[]): Promise<{ errors: { index: number; error: Error }[] }>
export const index = consumer(orders, 'warehouse', {
  retry: { attempts: 5 },
  batch: {
    max: 500,
    wait: '50ms',
    async handler(items, { signal, tx }) {
      is<Eq<typeof tx, undefined>>()
      const { errors } = await bulkIndex(items.map((i) => ({ id: i.value.id, s: signal.aborted })))
      for (const { index, error } of errors) items[index]?.fail(error) // the others are acknowledged
    },
  },
})
export const index2 = consumer(orders, 'warehouse', {
  idempotency: pgStore(new Pool()),
  batch: {
    max: 500,
    wait: '50ms',
    handler: async (items, { tx }) => {
      is<Eq<typeof tx, PoolClient>>()
      await tx.query('insert into t select * from unnest($1::text[])', [items.map((i) => i.value.id)])
    },
  },
})
