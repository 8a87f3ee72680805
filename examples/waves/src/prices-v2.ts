// The channel as it is now: prices in cents, with a currency. What is still in euros is made cents of before anybody sees it.
import { type Channel, channel, json } from 'polybus'
import { z } from 'zod'
import type { PriceV1 } from './prices-v1.ts'
import type { Registry } from './registry.ts'

export interface PriceV2 {
  readonly sku: string
  readonly cents: number
  readonly currency: string
}
const avro = {
  type: 'record',
  name: 'Price',
  fields: [
    { name: 'sku', type: 'string' },
    { name: 'cents', type: 'int' },
    { name: 'currency', type: 'string' },
  ],
}

export const pricesV2 = (registry: Registry | undefined): Channel<PriceV2> =>
  channel('prices', {
    schema: z.object({ sku: z.string(), cents: z.int(), currency: z.string().length(3) }),
    // No rule of Avro makes cents of euros, so a registry would refuse it as a next version: it has a subject of its own. What was written is read
    // as it is, and the upcaster does the rest.
    codec: registry?.avro({ schema: avro, subject: 'prices-v2', register: true, readAs: 'written' }) ?? json,
    key: ({ sku }) => sku,
    groups: ['shop'],
    version: 2,
    upcast: { 1: ({ sku, euros }: PriceV1): PriceV2 => ({ sku, cents: Math.round(euros * 100), currency: 'EUR' }) },
  })
