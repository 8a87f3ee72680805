// The channel as the programs of last year have it: prices in euros.
import { type Channel, channel, json } from 'polybus'
import { z } from 'zod'
import type { Registry } from './registry.ts'

export interface PriceV1 {
  readonly sku: string
  readonly euros: number
}
const avro = {
  type: 'record',
  name: 'Price',
  fields: [
    { name: 'sku', type: 'string' },
    { name: 'euros', type: 'double' },
  ],
}

export const pricesV1 = (registry: Registry | undefined): Channel<PriceV1> =>
  channel('prices', {
    schema: z.object({ sku: z.string(), euros: z.number() }),
    codec: registry?.avro({ schema: avro, subject: 'prices-v1', register: true }) ?? json,
    key: ({ sku }) => sku,
    groups: ['shop'],
  })
