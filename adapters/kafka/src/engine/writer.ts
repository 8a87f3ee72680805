// Batches to partitions, under sequence numbers that the broker drops duplicates by. kafkajs's own producer numbers its sends
// so that after one that did not settle the next may be confirmed without having been written (docs/brokers/kafka.md), so
// this does it as Java's client does: one batch at a time a partition, the same batch goes again under its own number while
// its call lasts, and after anything that stays uncertain a new producer id begins.
import { type Call, type Clock, PolybusError, type Result } from '@polybus/core'
import { chunks } from '../chunks.ts'
import type { Batch } from '../client.ts'
import { aborted, answered, closed, connectionFailed, isStale, kafkaError, kafkaName } from '../errors.ts'
import { placeOf } from '../names.ts'
import type { Identity, Job } from './jobs.ts'
import type { Link } from './link.ts'
import { produce, type ProduceAnswer, sizeOfRecords } from './produce.ts'

export interface WriterOptions {
  readonly link: Link
  readonly clock: Clock
  readonly timeoutMs: number
  readonly compression: number
  /** The identity that is in force; a new one after `retire`. */
  identity(): Promise<Identity>
  /** Its numbers are not known any more. */
  retire(identity: Identity): void
  /** Without sequence numbers nothing goes again that may have been written. */
  readonly idempotent: boolean
  readonly transactionalId?: string
  /** Before the first batch of a transaction to a partition. */
  prepare?(identity: Identity, batches: readonly Batch[]): Promise<void>
}
export interface Writer {
  write(batches: readonly Batch[], call: Call): Promise<readonly Result<bigint | undefined>[]>
  close(): void
}

/** How long a topic that there is not may take to be known everywhere after its creation. */
const UNKNOWN_TOPIC_MS = 1500
/** Of one request; the broker takes 100 MiB by default. */
const REQUEST_BYTES = 8 * 2 ** 20
const SEQUENCES = 2 ** 31
/** The broker has it already. */
const DUPLICATE = 46
/** The numbers are not what the broker has: a producer id that it forgot, or that is not ours any more. */
const NUMBERS = new Set(['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH'])

export function createWriter(options: WriterOptions): Writer {
  const { link, clock, timeoutMs, idempotent } = options
  /** By partition; the first of each is the one under way. */
  const queues = new Map<string, Job[]>()
  let scheduled = false
  let over = false

  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    // What is written in the same turn goes in one request.
    void Promise.resolve().then(() => {
      scheduled = false
      const jobs: Job[] = []
      for (const [job] of queues.values())
        if (job?.at === 'ready') {
          job.at = 'flying'
          if (job.tries === 0) job.begun = clock.now()
          jobs.push(job)
        }
      if (jobs.length > 0) void dispatch(jobs)
    })
  }
  const finish = (job: Job, result: Result<bigint | undefined>): void => {
    if (job.at === 'done') return
    job.at = 'done'
    const queue = queues.get(job.place)
    const index = queue?.indexOf(job) ?? -1
    if (index >= 0) queue?.splice(index, 1)
    if (queue?.length === 0) queues.delete(job.place)
    job.settle(result)
    schedule()
  }
  const fail = (job: Job, error: PolybusError): void => {
    if (job.at === 'done') return
    const sent = job.uncertain ? 'unknown' : (error.sent ?? 'no')
    const { own } = job
    if (own && sent === 'unknown') options.retire(own.identity)
    else own?.identity.sequences.set(job.place, own.sequence)
    const told =
      error.sent === sent
        ? error
        : new PolybusError(error.code, error.message, { cause: error.cause, retryable: error.retryable, sent })
    finish(job, { ok: false, error: told })
  }
  /** `thrown`: as it came; where it says that nothing was sent nobody could be reached. */
  const retry = (job: Job, thrown: PolybusError, error: PolybusError = thrown): void => {
    if (job.at === 'done') return
    const limit = error.code === 'TOPOLOGY_MISSING' ? Math.min(UNKNOWN_TOPIC_MS, timeoutMs) : timeoutMs * 2
    const waitMs = Math.min(500, 20 * 2 ** job.tries)
    const again = error.retryable || isStale(error)
    // Of what is certainly not there core decides when it goes again, it alone reconnects; only what is uncertain is worth more.
    if (thrown.code === 'CONNECTION_FAILED' && thrown.sent === 'no' && job.tries > 0) {
      const behind = (queues.get(job.place) ?? []).filter(({ at }) => at === 'ready')
      for (const each of behind) fail(each, error)
      if (!job.uncertain) return fail(job, error)
    }
    if (over || !again || (job.uncertain && !idempotent) || clock.now() - job.begun + waitMs > limit)
      return fail(job, error)
    if (isStale(error) || error.code === 'CONNECTION_FAILED' || error.code === 'TOPOLOGY_MISSING') link.forget()
    job.tries++
    job.handed = false
    job.at = 'waiting'
    clock.timer(waitMs, () => {
      if (job.at !== 'waiting') return
      job.at = 'ready'
      schedule()
    })
  }

  const dispatch = async (jobs: readonly Job[]): Promise<void> => {
    const byNode = new Map<number, Job[]>()
    await Promise.all(
      jobs.map(async (job) => {
        try {
          const node = await link.leader(job.batch.topic, job.batch.partition)
          byNode.set(node, [...(byNode.get(node) ?? []), job])
        } catch (error) {
          const thrown = kafkaError(error, 'no')
          retry(job, thrown, certain(thrown))
        }
      }),
    )
    let identity: Identity
    try {
      identity = await options.identity()
    } catch (error) {
      for (const job of jobs) retry(job, certain(error))
      return
    }
    for (const [node, list] of byNode) {
      const groups = new Map<Identity, Job[]>()
      for (const job of list) {
        const mine = job.own?.identity ?? identity
        groups.set(mine, [...(groups.get(mine) ?? []), job])
      }
      for (const [mine, group] of groups)
        for (const some of chunks(group, REQUEST_BYTES)) void request(node, mine, some)
    }
  }

  const request = async (node: number, identity: Identity, group: readonly Job[]): Promise<void> => {
    let jobs = group.filter(({ at }) => at !== 'done')
    try {
      await options.prepare?.(
        identity,
        jobs.map(({ batch }) => batch),
      )
    } catch (error) {
      for (const job of jobs) retry(job, certain(error))
      return
    }
    jobs = jobs.filter(({ at }) => at !== 'done')
    if (jobs.length === 0) return
    for (const job of jobs) {
      if (job.own) continue
      const sequence = identity.sequences.get(job.place) ?? 0
      job.own = { identity, sequence }
      identity.sequences.set(job.place, (sequence + job.batch.records.length) % SEQUENCES)
    }
    let answer: ProduceAnswer
    try {
      answer = await link.ask(node, (broker) => {
        for (const job of jobs) job.handed = true
        return produce(broker, {
          transactionalId: options.transactionalId,
          producerId: BigInt(identity.producerId),
          producerEpoch: identity.producerEpoch,
          timeoutMs: Math.ceil(timeoutMs * 0.8),
          compression: options.compression,
          batches: jobs.map(({ batch, now, own }) => ({
            ...batch,
            now,
            firstSequence: idempotent ? (own?.sequence ?? 0) : -1,
          })),
        })
      })
    } catch (thrown) {
      const error = kafkaError(thrown, 'unknown')
      for (const job of jobs) {
        if (job.handed && error.sent !== 'no') job.uncertain = true
        job.handed = false
        retry(job, error)
      }
      return
    }
    for (const job of jobs) {
      job.handed = false
      conclude(job, answer.get(job.place))
    }
  }

  const conclude = (job: Job, found: { readonly errorCode: number; readonly baseOffset: bigint } | undefined): void => {
    if (found?.errorCode === 0)
      return finish(job, { ok: true, value: found.baseOffset < 0n ? undefined : found.baseOffset })
    if (found?.errorCode === DUPLICATE) return finish(job, { ok: true, value: undefined })
    const error = found && answered(found.errorCode, `to write to '${job.batch.topic}'`)
    if (!error) {
      job.uncertain = true
      return retry(job, connectionFailed('the answer left a partition out', 'unknown'))
    }
    if (NUMBERS.has(kafkaName(error) ?? '')) {
      if (job.own) options.retire(job.own.identity)
      // Of what may have been written under its old number nobody can tell any more.
      if (job.uncertain || options.transactionalId !== undefined) return fail(job, error)
      job.own = undefined
      return retry(job, error)
    }
    if (error.sent === 'unknown') job.uncertain = true
    retry(job, error)
  }

  return {
    write(batches, { signal }) {
      if (over || signal.aborted) {
        const error = over ? closed() : aborted('no')
        return Promise.resolve(batches.map(() => ({ ok: false, error })))
      }
      const jobs: Job[] = []
      const work = Promise.all(
        batches.map(
          (batch) =>
            new Promise<Result<bigint | undefined>>((settle) => {
              const now = clock.wall()
              const place = placeOf(batch)
              const { bytes = sizeOfRecords(batch.records) } = batch
              const job: Job = {
                batch,
                place,
                now,
                bytes,
                settle,
                at: 'ready',
                begun: 0,
                tries: 0,
                own: undefined,
                handed: false,
                uncertain: false,
              }
              jobs.push(job)
              const queue = queues.get(place)
              if (queue) queue.push(job)
              else queues.set(place, [job])
            }),
        ),
      )
      const onAbort = (): void => {
        for (const job of jobs) {
          if (job.handed) job.uncertain = true
          fail(job, aborted(job.uncertain ? 'unknown' : 'no'))
        }
      }
      signal.addEventListener('abort', onAbort)
      schedule()
      return work.finally(() => signal.removeEventListener('abort', onAbort))
    },
    close() {
      over = true
      for (const job of [...queues.values()].flat()) {
        if (job.handed) job.uncertain = true
        fail(job, closed())
      }
    },
  }
}

/** Asking for an identity or a place in a transaction writes no records. */
function certain(thrown: unknown): PolybusError {
  const error = kafkaError(thrown, 'no')
  return error.sent === 'no'
    ? error
    : new PolybusError(error.code, error.message, {
        cause: error.cause ?? error,
        retryable: error.retryable,
        sent: 'no',
      })
}
