// Reads partitions from where it was told, for one generation of a member. It knows neither groups nor commits.
import { type Clock, type PolybusError, sleep } from '@polybus/core'
import type { Position, Records, TopicPartition } from '../client.ts'
import { answered, isStale, kafkaError } from '../errors.ts'
import { placeOf } from '../names.ts'
import type { FetchedPartition } from './fetched.ts'
import type { Broker } from './wire.ts'
import type { Link } from './link.ts'
import { fromFetched } from './records.ts'
import { deferred } from '../wait.ts'

export interface Fetcher {
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  seek(position: Position): void
  stop(): void
}
export interface FetcherOptions {
  readonly link: Link
  readonly clock: Clock
  readonly timeoutMs: number
  readonly maxWaitMs: number
  readonly maxBytesPerPartition: number
  onRecords(batch: Records): void
  onOutOfRange(position: Position): void
  /** It cannot go on, and stopped. */
  onFailed(error: PolybusError): void
}
interface Part extends TopicPartition {
  offset: bigint
  paused: boolean
  /** By the clock; what was paused just now mostly goes on soon. */
  pausedAt: number
  /** Waits for `seek`. */
  stuck: boolean
  /** Who leads it; undefined: to be asked. */
  node: number | undefined
  /** Changes when what is on its way is of no use any more. */
  version: number
  missingSince: number | undefined
  /** The broker gave an answer about it before. */
  seen: boolean
}

const OUT_OF_RANGE = 1
const UNKNOWN_TOPIC = 3
const READ_COMMITTED = 1
const REQUEST_BYTES = 16 * 2 ** 20
/** How long a topic may look as if it were not there: brokers hear of a new one one after the other; of one that was read less may be thought. */
const MISSING_MS = 2000
const GONE_MS = 700
const RETRY_MS = 100
/** So long ago is just now, and so long a fetch waits then. */
const SOON_MS = 500
const SOON_WAIT_MS = 5

export function createFetcher(options: FetcherOptions, positions: readonly Position[]): Fetcher {
  const { link, clock } = options
  const life = new AbortController()
  const parts = new Map<string, Part>()
  const running = new Set<number>()
  let locating = false
  let wake = deferred<void>()

  const stir = (): void => {
    wake.resolve()
    wake = deferred<void>()
  }
  const failed = (error: PolybusError): void => {
    if (life.signal.aborted) return
    life.abort()
    stir()
    options.onFailed(error)
  }
  /** Finds the leaders of those that have none, and sees to it that each is read from. */
  const locate = async (): Promise<void> => {
    while (!life.signal.aborted) {
      const lost = [...parts.values()].filter(({ node }) => node === undefined)
      for (const part of lost)
        try {
          part.node = await link.leader(part.topic, part.partition)
          part.missingSince = undefined
        } catch (thrown) {
          const error = kafkaError(thrown, 'no')
          if (error.code === 'TOPOLOGY_MISSING') {
            part.missingSince ??= clock.now()
            if (clock.now() - part.missingSince > (part.seen ? GONE_MS : MISSING_MS)) return failed(error)
          } else if (!error.retryable && !isStale(error)) return failed(error)
          link.forget()
        }
      for (const { node } of parts.values()) if (node !== undefined) readFrom(node)
      stir()
      if (lost.every(({ node }) => node !== undefined)) return
      await sleep(clock, RETRY_MS, life.signal)
    }
  }
  const relocate = (afterMs: number): void => {
    if (locating || life.signal.aborted) return
    locating = true
    void sleep(clock, afterMs, life.signal)
      .then(locate)
      .catch((error: unknown) => failed(kafkaError(error)))
      .finally(() => {
        locating = false
        if ([...parts.values()].some(({ node }) => node === undefined)) relocate(RETRY_MS)
      })
  }
  const readFrom = (node: number): void => {
    if (running.has(node)) return
    running.add(node)
    void loop(node)
      .catch((error: unknown) => failed(kafkaError(error)))
      .finally(() => running.delete(node))
  }
  const loop = async (node: number): Promise<void> => {
    while (!life.signal.aborted) {
      const mine = [...parts.values()].filter((part) => part.node === node)
      if (mine.length === 0) return
      const open = mine.filter(({ paused, stuck }) => !paused && !stuck)
      if (open.length === 0) {
        await wake.promise
        continue
      }
      // A fetch cannot be called back: while it waits for something new, what goes on meanwhile would wait too.
      const soon = clock.now() - SOON_MS
      const maxWaitTime = mine.some(({ paused, pausedAt }) => paused && pausedAt > soon)
        ? SOON_WAIT_MS
        : options.maxWaitMs
      const versions = new Map(open.map((part) => [part, part.version]))
      let answer: Awaited<ReturnType<Broker['fetch']>>
      try {
        answer = await link.ask(
          node,
          (broker) =>
            broker.fetch({
              isolationLevel: READ_COMMITTED,
              maxWaitTime,
              minBytes: 1,
              maxBytes: REQUEST_BYTES,
              topics: topicsOf(open, options.maxBytesPerPartition),
            }),
          options.maxWaitMs + options.timeoutMs,
        )
      } catch (thrown) {
        if (life.signal.aborted) return
        const error = kafkaError(thrown, 'no')
        if (!error.retryable && !isStale(error)) return failed(error)
        for (const part of mine) part.node = undefined
        relocate(RETRY_MS)
        return
      }
      if (life.signal.aborted) return
      for (const { topicName, partitions } of answer.responses)
        for (const fetched of partitions) {
          const part = parts.get(placeOf({ topic: topicName, partition: fetched.partition }))
          if (part && part.version === versions.get(part)) take(part, fetched)
          if (life.signal.aborted) return
        }
    }
  }
  const take = (part: Part, fetched: FetchedPartition): void => {
    const { topic, partition, offset } = part
    if (fetched.errorCode === OUT_OF_RANGE) {
      part.stuck = true
      part.version++
      return options.onOutOfRange({ topic, partition, offset })
    }
    const error = answered(fetched.errorCode, `to read '${topic}'`)
    if (error) {
      if (!error.retryable && !isStale(error)) return failed(error)
      if (fetched.errorCode === UNKNOWN_TOPIC) part.missingSince ??= clock.now()
      part.node = undefined
      link.forget()
      return relocate(RETRY_MS)
    }
    part.seen = true
    const records = fromFetched(topic, offset, fetched)
    // Nothing new, or others filled the answer.
    if (!records) return
    part.offset = records.lastOffset + 1n
    options.onRecords(records)
  }
  const each = (list: readonly TopicPartition[], change: (part: Part) => void): void => {
    for (const one of list) {
      const part = parts.get(placeOf(one))
      if (part) change(part)
    }
    stir()
  }

  for (const { topic, partition, offset } of positions)
    parts.set(placeOf({ topic, partition }), {
      topic,
      partition,
      offset,
      paused: false,
      pausedAt: -Infinity,
      stuck: false,
      node: undefined,
      version: 0,
      missingSince: undefined,
      seen: false,
    })
  if (parts.size > 0) relocate(0)
  return {
    pause: (list) =>
      each(list, (part) => {
        part.paused = true
        part.pausedAt = clock.now()
      }),
    resume: (list) => each(list, (part) => void (part.paused = false)),
    seek: (position) =>
      each([position], (part) => {
        part.offset = position.offset
        part.stuck = false
        part.version++
      }),
    stop() {
      life.abort()
      stir()
    },
  }
}

function topicsOf(parts: readonly Part[], maxBytes: number): Parameters<Broker['fetch']>[0]['topics'] {
  const topics = new Map<string, { partition: number; fetchOffset: string; maxBytes: number }[]>()
  for (const { topic, partition, offset } of parts) {
    const list = topics.get(topic) ?? []
    topics.set(topic, list)
    list.push({ partition, fetchOffset: String(offset), maxBytes })
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}
