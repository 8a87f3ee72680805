// Batches on their way to the broker.
import type { Result } from '@polybus/core'
import type { Batch } from '../client.ts'

export interface Identity {
  readonly producerId: string
  readonly producerEpoch: number
  /** By topic and partition: the number of the next record. */
  readonly sequences: Map<string, number>
}
export interface Job {
  readonly batch: Batch
  readonly place: string
  /** For records without a time of their own. */
  readonly now: number
  readonly bytes: number
  readonly settle: (result: Result<bigint | undefined>) => void
  at: 'ready' | 'flying' | 'waiting' | 'done'
  begun: number
  tries: number
  own: { readonly identity: Identity; readonly sequence: number } | undefined
  /** Handed to a connection that was there: its bytes may have left. */
  handed: boolean
  /** An earlier try may have been written. */
  uncertain: boolean
}
