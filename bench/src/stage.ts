// What a measurement gets: one broker's server of this run, and how much of it.
import type { KindName } from './brokers/index.ts'
import type { Kind, RawBroker } from './brokers/raw.ts'
import type { Rounds } from './rounds.ts'

export interface Stage extends Rounds {
  readonly broker: KindName
  readonly kind: Kind
  readonly url: string
  readonly raw: RawBroker
  /** Bytes of a body. What measures one size alone takes the first. */
  readonly sizes: readonly [number, ...number[]]
  /** For a round of 256 B. Undefined: as the broker's file says. */
  readonly messages: number | undefined
  /** Of a run of steady rate. */
  readonly seconds: number
  readonly only: string
  /** Without the raw ones, which are measured in any case else. */
  readonly alone: boolean
  readonly progress: (text: string) => void
}

/** On a terminal, over what stood there. */
export const shown = ({ progress }: Pick<Stage, 'progress'>, text: string): void => progress(`\r\u001b[K${text}`)
