// What scaling.ts and its processes know of each other.
import { channel, type Channel } from 'polybus'
import { GROUP } from './brokers/raw.ts'
import { type Purchase, purchase } from './purchases.ts'

/** Of a channel: it has no key, a key and what the broker makes of that, or a key and so many lanes. */
export type Lanes = 'no key' | 'keyed' | number
export interface Task {
  readonly url: string
  readonly channel: string
  readonly lanes: Lanes
}
export type Order = 'hold' | 'go' | 'end'
export type Told = { readonly kind: 'ready' | 'held' } | (Handled & { readonly kind: 'handled' })
export interface Handled {
  readonly probes: number
  readonly messages: number
  /** When the last message was, in milliseconds of the time of day. */
  readonly at: number
}

/** Messages from this number on are there for the processes to share out the lanes by. */
export const FIRST_PROBE = 8_000_000

export const laned = (name: string, lanes: Lanes): Channel<Purchase, Purchase, typeof GROUP> =>
  channel(name, {
    schema: purchase,
    groups: [GROUP],
    ...(lanes !== 'no key' && { key: (order: Purchase) => order.customer }),
    ...(typeof lanes === 'number' && { partitions: lanes }),
  })
