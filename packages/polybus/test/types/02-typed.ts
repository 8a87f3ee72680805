import { channel, consumer, type Handler, type InputOf, type OutputOf } from 'polybus'
import { z } from 'zod'
import * as v from 'valibot'
import { type as ark } from 'arktype'
import { is, type Eq } from './00-types.ts'
export const orders = channel('orders', {
  schema: z.object({
    id: z.string(),
    customer: z.string(),
    cents: z.number().int(),
    at: z.iso.datetime().transform((s) => new Date(s)),
  }),
  key: (order) => order.customer,
  groups: ['email', 'warehouse'],
})
is<Eq<InputOf<typeof orders>, { id: string; customer: string; cents: number; at: string }>>()
is<Eq<OutputOf<typeof orders>, { id: string; customer: string; cents: number; at: Date }>>()
export const email = consumer(orders, 'email', async (order, { attempt, signal, tx }) => {
  is<Eq<typeof order.at, Date>>()
  is<Eq<typeof attempt, number>>()
  is<Eq<typeof signal, AbortSignal>>()
  is<Eq<typeof tx, undefined>>()
})
// handlers in their own file
export const onOrder: Handler<OutputOf<typeof orders>> = async (order, ctx) => {
  ctx.log.info({ at: order.at.getTime() }, 'got it')
}
export const email2 = consumer(orders, 'warehouse', { concurrency: 8, handler: onOrder })
// returning a value must be fine
export const email3 = consumer(orders, 'warehouse', async (o) => o.cents)
export const email4 = consumer(orders, 'warehouse', (o) => Promise.resolve(o.cents))
// @ts-expect-error undeclared group
consumer(orders, 'emial', async () => {})
// @ts-expect-error misspelt option
consumer(orders, 'email', { concurency: 3, handler: async () => {} })
// @ts-expect-error bad unit
consumer(orders, 'email', { timeout: '3 minutes', handler: async () => {} })
// @ts-expect-error no handler
consumer(orders, 'email', { concurrency: 3 })
const vo = channel('v', {
  schema: v.object({ id: v.string(), n: v.pipe(v.string(), v.transform(Number)) }),
  key: (x) => x.n,
})
consumer(vo, 'x', async (x) => {
  is<Eq<typeof x.n, number>>()
})
const ao = channel('a', { schema: ark({ id: 'string', 'n?': 'number' }), key: (x) => x.id })
consumer(ao, 'x', async (x) => {
  is<Eq<typeof x.n, number | undefined>>()
})
