// Transactions of one transactional id.
import { type Clock, PolybusError } from '@polybus/core'
import type { Batch, Position, TransactionalProducer } from '../client.ts'
import { compressionOf } from '../codecs.ts'
import { closed, kafkaError, kafkaName } from '../errors.ts'
import { placeOf } from '../names.ts'
import type { Settings } from '../options.ts'
import { byTopic } from './admin.ts'
import type { Identity } from './jobs.ts'
import type { Link } from './link.ts'
import { persist, within } from '../wait.ts'
import { createWriter } from './writer.ts'

/** The coordinator aborts what is open for longer: others may have been waiting to read behind it. */
const TRANSACTION_MS = 60_000
/** After a commit the coordinator answers CONCURRENT_TRANSACTIONS until its markers are written: that takes some milliseconds. */
const BACKOFF_MS = 4
/** Somebody else began with this id, or the coordinator ended a transaction that took too long. */
const FENCED = new Set(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING'])
const isFenced = (error: unknown): boolean => FENCED.has(kafkaName(error) ?? '')

/** @param link Shared with others: it stays open. */
export function createTransactional(
  link: Link,
  clock: Clock,
  settings: Settings,
  transactionalId: string,
): TransactionalProducer {
  const timeoutMs = settings.commandTimeoutMs
  const coordinator = { kind: 'transaction', id: transactionalId } as const
  let identity: Identity | undefined
  /** Partitions that the transaction knows of. */
  let places = new Set<string>()
  let adding: Promise<unknown> = Promise.resolve()
  let begun = false
  /** There is something for the coordinator to end. */
  let touched = false
  let fenced: PolybusError | undefined
  let over = false

  const usable = (): void => {
    if (over) throw closed()
    if (fenced) throw fenced
  }
  const who = (): Identity => {
    usable()
    if (!begun) throw new PolybusError('BROKER_REFUSED', 'No transaction has begun.', { sent: 'no' })
    if (!identity)
      throw new PolybusError('PUBLISH_UNCERTAIN', 'A part of the transaction is uncertain: abort it.', { sent: 'no' })
    return identity
  }
  const explain = (error: unknown): unknown => {
    if (!isFenced(error)) return error
    identity = undefined
    fenced ??= new PolybusError(
      'LEASE_LOST',
      `The transactional id '${transactionalId}' has another producer now, or its transaction took longer than ${TRANSACTION_MS} ms.`,
      { cause: error, sent: 'no' },
    )
    return fenced
  }
  const tell = async <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    const again = (error: PolybusError): boolean => error.retryable && !isFenced(error)
    const limitMs = timeoutMs * 2
    try {
      const told = persist({ clock, limitMs, backoffMs: BACKOFF_MS, onStale: link.forget, again }, work)
      return await within(clock, limitMs + timeoutMs, signal, told)
    } catch (error) {
      throw explain(error)
    }
  }
  const of = ({ producerId, producerEpoch }: Identity) => ({ transactionalId, producerId, producerEpoch })
  const initialise = async (signal: AbortSignal): Promise<void> => {
    usable()
    begun = false
    touched = false
    const made = await tell(signal, () =>
      link.ask(coordinator, (broker) => broker.initProducerId({ transactionalId, transactionTimeout: TRANSACTION_MS })),
    )
    identity = { ...made, sequences: new Map() }
  }
  const prepare = async (own: Identity, batches: readonly Batch[]): Promise<void> => {
    // One after the other: the broker answers a second one with CONCURRENT_TRANSACTIONS.
    const work = adding.then(async () => {
      const topics = new Map<string, number[]>()
      for (const { topic, partition } of batches)
        if (!places.has(placeOf({ topic, partition }))) topics.set(topic, [...(topics.get(topic) ?? []), partition])
      if (topics.size === 0) return
      touched = true
      const list = [...topics].map(([topic, partitions]) => ({ topic, partitions }))
      await tell(undefined, () =>
        link.ask(coordinator, (broker) => broker.addPartitionsToTxn({ ...of(own), topics: list })),
      )
      for (const { topic, partitions } of list)
        for (const partition of partitions) places.add(placeOf({ topic, partition }))
    })
    adding = work.catch(() => undefined)
    return work
  }
  const writer = createWriter({
    link,
    clock,
    timeoutMs,
    idempotent: true,
    compression: compressionOf(settings.compression),
    transactionalId,
    identity: () => Promise.resolve().then(who),
    // The next one, with a new epoch, ends what this one left open.
    retire: () => (identity = undefined),
    prepare,
  })
  const finish = async (commit: boolean, signal: AbortSignal): Promise<void> => {
    const own = who()
    const needed = touched
    begun = false
    touched = false
    if (!needed) return
    try {
      await tell(signal, () =>
        link.ask(coordinator, (broker) => broker.endTxn({ ...of(own), transactionResult: commit })),
      )
    } catch (thrown) {
      identity = undefined
      const error = kafkaError(thrown, 'unknown')
      // What the broker answered is certain.
      const sent =
        error.code === 'CONNECTION_FAILED' || error.code === 'ABORTED' ? 'unknown' : (error.sent ?? 'unknown')
      throw new PolybusError(error.code, error.message, {
        cause: error.cause ?? error,
        retryable: error.retryable,
        sent,
      })
    }
  }

  return {
    initialise: ({ signal }) => initialise(signal),
    async begin({ signal }) {
      usable()
      if (begun) throw new PolybusError('BROKER_REFUSED', 'The former transaction is not over.', { sent: 'no' })
      if (!identity) await initialise(signal)
      places = new Set()
      begun = true
    },
    async produce(batches, call) {
      who()
      const results = await writer.write(batches, call)
      for (const result of results) if (!result.ok) throw explain(result.error)
    },
    async sendOffsets(group: string, positions: readonly Position[], { signal }) {
      const own = who()
      touched = true
      await tell(signal, () =>
        link.ask(coordinator, (broker) => broker.addOffsetsToTxn({ ...of(own), groupId: group })),
      )
      const topics = byTopic(positions)
      await tell(signal, () =>
        link.ask({ kind: 'group', id: group }, (broker) =>
          broker.txnOffsetCommit({ ...of(own), groupId: group, topics }),
        ),
      )
    },
    commit: ({ signal }) => finish(true, signal),
    async abort({ signal }) {
      // Without an identity the next one ends it.
      if (begun && identity) return finish(false, signal)
      begun = false
      touched = false
    },
    close() {
      over = true
      writer.close()
      return Promise.resolve()
    },
  }
}
