// Waits for @polybus/rpc. Then this file is its usage as it stands in the comment.
/*
import { rpc, request, responder } from '@polybus/rpc'
import type { Bus } from 'polybus'
import { z } from 'zod'
import { is, type Eq } from './00-types.ts'
const quote = rpc('quote', { request: z.object({ sku: z.string() }), reply: z.object({ cents: z.number(), until: z.coerce.date() }) })
declare const bus: Bus
await bus.start(responder(quote, async ({ sku }) => ({ cents: sku.length, until: '2025-01-01' })))
const answer = await request(bus, quote, { sku: 'x' }, { timeout: '2s' })
is<Eq<typeof answer, { cents: number; until: Date }>>()
// @ts-expect-error
await request(bus, quote, { sku: 1 }, { timeout: '2s' })
// @ts-expect-error wrong reply
responder(quote, async () => ({ cents: 'a', until: 1 }))
*/
export {}
