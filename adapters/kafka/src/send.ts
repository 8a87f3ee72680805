// Messages to their topics and partitions, batch by batch. The broker takes a batch as a whole or not at all: one that it
// refuses for what is in it is halved until the bad record stands alone.
import {
  type Call,
  type Clock,
  type Destination,
  LADDER_MS,
  type Outgoing,
  PolybusError,
  type Receipt,
  type Result,
} from '@polybus/core'
import { chunks } from './chunks.ts'
import type { NewRecord, Producer, TopicPartition } from './client.ts'
import { kafkaError, kafkaName, missing, notAttempted } from './errors.ts'
import type { Layout } from './layout.ts'
import { positionOf, sizeOf, toNative } from './mapping.ts'
import { placeOf } from './names.ts'
import { partitionOf, type RoundRobin } from './partitioner.ts'
import type { Session } from './session.ts'

interface Entry extends TopicPartition {
  readonly record: NewRecord
  readonly bytes: number
}
type Written = Result<bigint | undefined>

/** Well below the 1 MiB that a batch may have by default, and enough to cost nothing. */
export const BATCH_BYTES: number = 512 * 1024
/** Of each partition at once. */
export const BATCH_RECORDS = 5000
/** What one record of a batch may be refused for. */
const BY_CONTENT = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP'])

const shortest = LADDER_MS.at(-1) ?? 1000

/** What is due at once stands in the shortest rung as if its time there were over. */
function due(record: NewRecord, to: Destination, clock: Clock): NewRecord {
  return to.kind === 'group' && to.delayMs === 0
    ? { ...record, timestamp: Math.floor(clock.wall()) - shortest }
    : record
}

/** Where a message goes. */
export function topicsOf(layout: Layout, to: Destination, groups: readonly string[] | undefined): readonly string[] {
  if (to.kind === 'dead-letter') return [layout.dead(to.group)]
  // A record of the channel reaches every group; the shortest rung is what only one reads.
  if (to.kind === 'channel') return groups ? groups.map((group) => layout.rung(group, shortest)) : [layout.topic]
  if (to.delayMs === 0) return [layout.rung(to.group, shortest)]
  if (!LADDER_MS.includes(to.delayMs))
    throw new PolybusError(
      'UNSUPPORTED',
      `Kafka has no exact delays: ${to.delayMs} ms is none of the rungs 1 s, 10 s, 1 min and 10 min.`,
      { sent: 'no' },
    )
  return [layout.rung(to.group, to.delayMs)]
}

export async function sendAll(
  session: Session,
  batch: readonly Outgoing[],
  call: Call,
): Promise<readonly Result<Receipt>[]> {
  const found = await write(
    session,
    session.publishes,
    batch.map(({ message, to, groups }) => ({
      to,
      groups,
      key: message.key,
      record: (layout) => toNative(message, layout),
    })),
    call,
  )
  return found.map((written): Result<Receipt> => {
    if (!written.ok) return written
    const { value } = written
    return {
      ok: true,
      value: value.offset === undefined ? {} : { position: positionOf({ ...value, offset: value.offset }) },
    }
  })
}

/** Copies of what is consumed: one answer each, undefined where it is there. */
export async function sendCopies(
  session: Session,
  copies: readonly { readonly record: NewRecord; readonly to: Destination }[],
  call: Call,
): Promise<readonly (PolybusError | undefined)[]> {
  const wanted = copies.map(({ record, to }) => ({ to, groups: undefined, key: undefined, record: () => record }))
  const found = await write(session, session.moves, wanted, call)
  return found.map((written) => (written.ok ? undefined : written.error))
}

interface Wanted {
  readonly to: Destination
  /** Of what fails before it has a place the later ones are held. Undefined: none. */
  readonly key: string | undefined
  readonly groups: readonly string[] | undefined
  record(layout: Layout): NewRecord
}
interface Place extends TopicPartition {
  readonly offset: bigint | undefined
}

async function write(
  session: Session,
  producer: Producer,
  wanted: readonly Wanted[],
  call: Call,
): Promise<readonly Result<Place>[]> {
  const failures = new Map<number, PolybusError>()
  const entries = new Map<number, readonly Entry[]>()
  const limits = new Map<string, number>()
  await Promise.all(
    wanted.map(async (each, index) => {
      try {
        const layout = session.layoutFor(session.spec(each.to.channel))
        const record = due(each.record(layout), each.to, session.clock)
        const bytes = sizeOf(record)
        const topics = topicsOf(layout, each.to, each.groups)
        limits.set(
          layout.topic,
          Math.min(BATCH_BYTES, Number(layout.options.config?.['max.message.bytes'] ?? Infinity)),
        )
        const counts = await Promise.all(topics.map((topic) => session.partitions(topic, call)))
        entries.set(
          index,
          topics.map((topic, at) => ({
            topic,
            partition: pick(session.turns, topic, record, counts[at] ?? 1),
            record,
            bytes,
          })),
        )
      } catch (error) {
        failures.set(index, kafkaError(error, 'no'))
      }
    }),
  )
  const held = new Set<string>()
  for (const [index, { to, key }] of wanted.entries()) {
    if (key === undefined) continue
    const place = `${to.channel} ${key}`
    if (failures.has(index)) held.add(place)
    else if (held.has(place)) {
      failures.set(index, notAttempted())
      entries.delete(index)
    }
  }
  // In the order of the batch, whatever was known first.
  const lines = new Map<string, Entry[]>()
  for (let index = 0; index < wanted.length; index++)
    for (const entry of entries.get(index) ?? []) {
      const place = placeOf(entry)
      const line = lines.get(place)
      if (line) line.push(entry)
      else lines.set(place, [entry])
    }
  const results = new Map<Entry, Written>()
  await Promise.all(
    [...lines.values()].map((line) =>
      writeLine(producer, line, limits.get(line[0]?.topic ?? '') ?? BATCH_BYTES, results, call),
    ),
  )
  return wanted.map((_, index): Result<Place> => {
    const failed = failures.get(index)
    if (failed) return { ok: false, error: failed }
    const mine = entries.get(index) ?? []
    for (const entry of mine) {
      const result = results.get(entry)
      if (!result?.ok) return { ok: false, error: explain(session, entry.topic, result?.error ?? notAttempted()) }
    }
    const [first] = mine
    const result = first && results.get(first)
    return first && result?.ok
      ? { ok: true, value: { topic: first.topic, partition: first.partition, offset: result.value } }
      : { ok: false, error: notAttempted() }
  })
}

export const pick = (turns: RoundRobin, topic: string, { key }: NewRecord, partitions: number): number =>
  key === null ? turns(topic, partitions) : partitionOf(key, partitions)

function explain(session: Session, topic: string, error: PolybusError): PolybusError {
  if (error.code !== 'TOPOLOGY_MISSING') return error
  session.forget(topic)
  return missing(`topic '${topic}', or not all of its partitions`, session.mayCreate, error.sent)
}

/** One partition, in order: nothing of a key behind what failed of it, and nothing at all behind what may yet come back. */
async function writeLine(
  producer: Producer,
  line: readonly Entry[],
  limit: number,
  results: Map<Entry, Written>,
  call: Call,
): Promise<void> {
  const held = new Set<string>()
  const keyOf = ({ record: { key } }: Entry): string | undefined =>
    key === null ? undefined : Buffer.from(key).toString('latin1')
  const isHeld = (entry: Entry): boolean => {
    const key = held.size === 0 ? undefined : keyOf(entry)
    return key !== undefined && held.has(key)
  }
  /** False: the partition is in trouble. */
  const put = async (some: readonly Entry[]): Promise<boolean> => {
    const free = some.filter((entry) => !isHeld(entry))
    const [first] = free
    if (!first) return true
    const { topic, partition } = first
    const [result] = await producer.produce([{ topic, partition, records: free.map(({ record }) => record) }], call)
    if (!result) return false
    if (result.ok) {
      for (const [index, entry] of free.entries())
        results.set(entry, { ok: true, value: result.value === undefined ? undefined : result.value + BigInt(index) })
      return true
    }
    const byContent = result.error.sent !== 'unknown' && BY_CONTENT.has(kafkaName(result.error) ?? '')
    if (!byContent) {
      for (const entry of free) results.set(entry, result)
      return false
    }
    if (free.length === 1) {
      results.set(first, result)
      const key = keyOf(first)
      if (key !== undefined) held.add(key)
      return true
    }
    const half = Math.ceil(free.length / 2)
    return (await put(free.slice(0, half))) && put(free.slice(half))
  }
  for (const some of chunks(line, limit, BATCH_RECORDS)) if (!(await put(some))) return
}
