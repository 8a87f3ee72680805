// What is published: every purchase by its line in the file, so that a customer's come in a row, and again from the start after
// the last. The sequence number names each of them for good.
import { type Purchase, readPurchases } from '@polybus/example-orders/purchases'
import { channel, type Channel, trust } from 'polybus'

export interface Charge extends Purchase {
  readonly seq: number
}
export const GROUP = 'charge'

export const charges: Channel<Charge, Charge, typeof GROUP> = channel('charges', {
  schema: trust<Charge>(),
  key: ({ customer }) => customer,
  groups: [GROUP],
})

/** Those of one publisher of `count`, without end. A customer's are all of one publisher, or nobody could keep their order. */
export function* shareOf(index: number, count: number): Generator<Charge, never> {
  const all = readPurchases().sort((a, b) => a.number - b.number)
  const mine = all
    .map((purchase, line) => ({ ...purchase, line }))
    .filter(({ customer }) => Number(customer) % count === index)
  for (let round = 0; ; round++)
    for (const { line, ...purchase } of mine) yield { ...purchase, seq: round * all.length + line }
}
