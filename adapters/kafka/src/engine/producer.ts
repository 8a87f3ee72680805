// Producer ids: what makes the broker drop what it has already.
import type { Clock } from '@polybus/core'
import type { Producer } from '../client.ts'
import { compressionOf } from '../codecs.ts'
import type { Settings } from '../options.ts'
import type { Identity } from './jobs.ts'
import type { Link } from './link.ts'
import { persist } from '../wait.ts'
import { createWriter } from './writer.ts'

/** The request has one; without transactions it means nothing. */
const NO_TRANSACTION_MS = 60_000
/** No producer id: the broker drops no duplicates. */
const NONE: Identity = { producerId: '-1', producerEpoch: -1, sequences: new Map() }

export function createProducer(link: Link, clock: Clock, settings: Settings): Producer {
  const { commandTimeoutMs: timeoutMs, idempotent } = settings
  let current: Promise<Identity> | undefined
  let known: Identity | undefined

  const ask = (): Promise<Identity> =>
    persist({ clock, limitMs: timeoutMs, onStale: link.forget }, async () => {
      const made = await link.ask('any', (broker) => broker.initProducerId({ transactionTimeout: NO_TRANSACTION_MS }))
      return (known = { ...made, sequences: new Map() })
    })
  const writer = createWriter({
    link,
    clock,
    timeoutMs,
    idempotent,
    compression: compressionOf(settings.compression),
    identity() {
      // Numbers of partitions mean nothing without a producer id, and nobody keeps them.
      if (!idempotent) return Promise.resolve({ ...NONE, sequences: new Map() })
      current ??= ask().catch((error: unknown) => {
        current = undefined
        throw error
      })
      return current
    },
    retire(identity) {
      if (identity === known) current = undefined
    },
  })
  return {
    produce: writer.write,
    close() {
      writer.close()
      return link.close()
    },
  }
}
