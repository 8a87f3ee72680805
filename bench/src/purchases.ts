// What is published on both sides: purchases whose JSON has exactly so many bytes.
import { z } from 'zod'

export interface Purchase {
  readonly id: string
  readonly customer: string
  readonly cents: number
  readonly note: string
}
export const purchase: z.ZodType<Purchase, Purchase> = z.object({
  id: z.string(),
  customer: z.string(),
  cents: z.number().int(),
  note: z.string(),
})

export type Make = (index: number) => Purchase

const WORDS = 'two boxes of the blue ones, please leave them with the neighbour if nobody opens. '
const FIRST = 1_000_000

/** Numbers in ids and prices have one length each, so that all are of one size. */
export function purchasesOf(bytes: number): Make {
  const make = (index: number, note: string): Purchase => ({
    id: `o-${FIRST + index}`,
    customer: `c-${1000 + (index % 1000)}`,
    cents: 1000 + (index % 9000),
    note,
  })
  const room = bytes - Buffer.byteLength(JSON.stringify(make(0, '')))
  const note = WORDS.repeat(Math.ceil(room / WORDS.length)).slice(0, room)
  return (index) => make(index, note)
}

export const indexOf = ({ id }: Purchase): number => Number(id.slice(2)) - FIRST
