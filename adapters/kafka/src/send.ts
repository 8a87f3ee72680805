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
import { positionOf, sizes, toNative } from './mapping.ts'
import { partitionOf, type RoundRobin } from './partitioner.ts'
import type { Session } from './session.ts'

/** What goes to one partition, in order. */
interface Line extends TopicPartition {
  /** Bytes of a batch. */
  readonly limit: number
  readonly entries: Entry[]
}
interface Entry {
  readonly line: Line
  readonly record: NewRecord
  readonly bytes: number
  /** Undefined: it was not tried. */
  result: Written | undefined
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
  const wanted = batch.map(({ message, to, groups }) => ({
    to,
    groups,
    key: message.key,
    record: (layout: Layout) => toNative(message, layout),
  }))
  const found = await write(session, session.publishes, wanted, call)
  return found.map((written): Result<Receipt> => {
    if (!written.ok) return written
    const { topic, partition, offset } = written.value
    return { ok: true, value: offset === undefined ? {} : { position: positionOf({ topic, partition, offset }) } }
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
/** A record that has no partition yet. */
interface Draft {
  readonly layout: Layout
  readonly topics: readonly string[]
  readonly record: NewRecord
  readonly bytes: number
}

async function write(
  session: Session,
  producer: Producer,
  wanted: readonly Wanted[],
  call: Call,
): Promise<readonly Result<Place>[]> {
  const failures = new Map<number, PolybusError>()
  const layoutOf = layoutsOf(session)
  const sizeOf = sizes()
  const drafts = wanted.map((each, index): Draft | undefined => {
    try {
      const layout = layoutOf(each.to.channel)
      const record = due(each.record(layout), each.to, session.clock)
      return { layout, topics: topicsOf(layout, each.to, each.groups), record, bytes: sizeOf(record) }
    } catch (error) {
      failures.set(index, kafkaError(error, 'no'))
      return undefined
    }
  })
  const counts = await countsOf(session, drafts, call)
  for (let index = 0; index < drafts.length; index++)
    for (const topic of drafts[index]?.topics ?? []) {
      const count = counts.get(topic)
      if (typeof count === 'object' && !failures.has(index)) failures.set(index, count)
    }
  holdBack(wanted, failures)
  // In the order of the batch, whatever was known first.
  const lines = new Map<string, Line[]>()
  const entries = drafts.map((draft, index): readonly Entry[] => {
    if (!draft || failures.has(index)) return NONE
    const { layout, topics, record, bytes } = draft
    return topics.map((topic): Entry => {
      const partition = pick(session.turns, topic, record, counts.get(topic) as number)
      let ofTopic = lines.get(topic)
      if (!ofTopic) lines.set(topic, (ofTopic = []))
      const line = (ofTopic[partition] ??= { topic, partition, limit: limitOf(layout, topic), entries: [] })
      const entry: Entry = { line, record, bytes, result: undefined }
      line.entries.push(entry)
      return entry
    })
  })
  const writes: Promise<void>[] = []
  for (const ofTopic of lines.values()) ofTopic.forEach((line) => writes.push(writeLine(producer, line, call)))
  await Promise.all(writes)
  return entries.map((mine, index): Result<Place> => {
    const failed = failures.get(index)
    if (failed) return { ok: false, error: failed }
    for (const { line, result } of mine)
      if (!result?.ok) return { ok: false, error: explain(session, line.topic, result?.error ?? notAttempted()) }
    const [first] = mine
    if (!first?.result?.ok) return { ok: false, error: notAttempted() }
    const { topic, partition } = first.line
    return { ok: true, value: { topic, partition, offset: first.result.value } }
  })
}

const NONE: readonly Entry[] = []

/** Mostly all of a batch is of one channel. */
function layoutsOf(session: Session): (channel: string) => Layout {
  const known = new Map<string, Layout>()
  return (channel) => {
    let layout = known.get(channel)
    if (!layout) known.set(channel, (layout = session.layoutFor(session.spec(channel))))
    return layout
  }
}

const limitOf = ({ topic, options }: Layout, of: string): number =>
  of === topic ? Math.min(BATCH_BYTES, Number(options.config?.['max.message.bytes'] ?? Infinity)) : BATCH_BYTES

/** Partitions by topic, or why they are not known. Waits only for what is not known yet. */
async function countsOf(
  session: Session,
  drafts: readonly (Draft | undefined)[],
  call: Call,
): Promise<ReadonlyMap<string, number | PolybusError>> {
  const counts = new Map<string, number | Promise<number | PolybusError>>()
  for (const draft of drafts)
    for (const topic of draft?.topics ?? []) {
      if (counts.has(topic)) continue
      const count = session.partitions(topic, call)
      counts.set(topic, typeof count === 'number' ? count : count.catch((error: unknown) => kafkaError(error, 'no')))
    }
  const known = new Map<string, number | PolybusError>()
  for (const [topic, count] of counts) known.set(topic, typeof count === 'number' ? count : await count)
  return known
}

/** Behind what failed of a key before it has a place nothing of that key goes. */
function holdBack(wanted: readonly Wanted[], failures: Map<number, PolybusError>): void {
  if (failures.size === 0) return
  const held = new Set<string>()
  for (const [index, { to, key }] of wanted.entries()) {
    if (key === undefined) continue
    const place = `${to.channel} ${key}`
    if (failures.has(index)) held.add(place)
    else if (held.has(place)) failures.set(index, notAttempted())
  }
}

export const pick = (turns: RoundRobin, topic: string, { key }: NewRecord, partitions: number): number =>
  key === null ? turns(topic, partitions) : partitionOf(key, partitions)

function explain(session: Session, topic: string, error: PolybusError): PolybusError {
  if (error.code !== 'TOPOLOGY_MISSING') return error
  session.forget(topic)
  return missing(`topic '${topic}', or not all of its partitions`, session.mayCreate, error.sent)
}

/** One partition, in order: nothing of a key behind what failed of it, and nothing at all behind what may yet come back. */
async function writeLine(producer: Producer, { topic, partition, limit, entries }: Line, call: Call): Promise<void> {
  const held = new Set<string>()
  const keyOf = ({ record: { key } }: Entry): string | undefined =>
    key === null ? undefined : Buffer.from(key).toString('latin1')
  const isFree = (entry: Entry): boolean => {
    const key = keyOf(entry)
    return key === undefined || !held.has(key)
  }
  /** False: the partition is in trouble. */
  const put = async (some: readonly Entry[]): Promise<boolean> => {
    const free = held.size === 0 ? some : some.filter(isFree)
    const [first] = free
    if (!first) return true
    const records = free.map(({ record }) => record)
    const bytes = free.reduce((sum, entry) => sum + entry.bytes, 0)
    const [result] = await producer.produce([{ topic, partition, records, bytes }], call)
    if (!result) return false
    if (result.ok) {
      const { value } = result
      for (const [index, entry] of free.entries())
        entry.result = value === undefined ? result : { ok: true, value: value + BigInt(index) }
      return true
    }
    const byContent = result.error.sent !== 'unknown' && BY_CONTENT.has(kafkaName(result.error) ?? '')
    if (!byContent) {
      for (const entry of free) entry.result = result
      return false
    }
    if (free.length === 1) {
      first.result = result
      const key = keyOf(first)
      if (key !== undefined) held.add(key)
      return true
    }
    const half = Math.ceil(free.length / 2)
    return (await put(free.slice(0, half))) && put(free.slice(half))
  }
  for (const some of chunks(entries, limit, BATCH_RECORDS)) if (!(await put(some))) return
}
