// What a fetch brings, read by ourselves: libraries put headers into objects or maps (their order is lost, and in kafkajs a
// record with very many of them takes longer than a session), and say nothing of batches that compaction emptied.
import { PolybusError } from '@polybus/core'
import type { KafkaRecord } from '../client.ts'
import { codecOf } from '../codecs.ts'
import { type Reader, reader } from './bytes.ts'
import { headersIn } from './headers.ts'

/** One batch of a partition. */
export interface FetchedBatch {
  readonly firstOffset: bigint
  readonly lastOffset: bigint
  readonly producerId: bigint
  readonly transactional: boolean
  /** Markers of transactions. */
  readonly control: boolean
  /** May be fewer than there were: compaction. */
  readonly records: readonly KafkaRecord[]
}
export interface FetchedPartition {
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: bigint
  /** Where those end who read committed records only. */
  readonly lastStableOffset: bigint
  readonly aborted: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[]
  readonly batches: readonly FetchedBatch[]
}
export interface Fetched {
  readonly clientSideThrottleTime: number
  readonly errorCode: number
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[]
}

const OLDEST = 4
const NEWEST = 11
export const canDecode = (version: number): boolean => version >= OLDEST && version <= NEWEST

/** The answer of a Fetch request of these versions, behind its correlation id. */
export async function decodeFetch(payload: Buffer, version: number): Promise<Fetched> {
  const from = reader(payload)
  const throttle = from.int32()
  const errorCode = version >= 7 ? from.int16() : 0
  if (version >= 7) from.int32()
  const responses: { topicName: string; partitions: FetchedPartition[] }[] = []
  for (let topics = from.int32(); topics > 0; topics--) {
    const topicName = from.string()
    const partitions: FetchedPartition[] = []
    for (let count = from.int32(); count > 0; count--) partitions.push(await decodePartition(from, topicName, version))
    responses.push({ topicName, partitions })
  }
  return { clientSideThrottleTime: version >= 8 ? throttle : 0, errorCode, responses }
}

async function decodePartition(from: Reader, topic: string, version: number): Promise<FetchedPartition> {
  const partition = from.int32()
  const errorCode = from.int16()
  const highWatermark = from.int64()
  const lastStableOffset = from.int64()
  if (version >= 5) from.int64()
  const aborted: { producerId: bigint; firstOffset: bigint }[] = []
  for (let count = from.int32(); count > 0; count--)
    aborted.push({ producerId: from.int64(), firstOffset: from.int64() })
  if (version >= 11) from.int32()
  const bytes = from.bytes(Math.max(0, from.int32()))
  const batches = await decodeBatches(bytes, topic, partition)
  // -1: the broker does not know transactions.
  const end = lastStableOffset < 0n ? highWatermark : lastStableOffset
  return { partition, errorCode, highWatermark, lastStableOffset: end, aborted, batches }
}

/** Offset and length, before which nothing else can be read. */
const PREFIX = 12
const MAGIC = 2

async function decodeBatches(bytes: Buffer, topic: string, partition: number): Promise<FetchedBatch[]> {
  const from = reader(bytes)
  const batches: FetchedBatch[] = []
  while (from.left >= PREFIX) {
    const firstOffset = from.int64()
    const length = from.int32()
    // The last one may be cut off.
    if (length > from.left) break
    batches.push(await decodeBatch(from.bytes(length), firstOffset, topic, partition))
  }
  return batches
}

async function decodeBatch(
  bytes: Buffer,
  firstOffset: bigint,
  topic: string,
  partition: number,
): Promise<FetchedBatch> {
  const from = reader(bytes)
  from.int32()
  const magic = from.int8()
  if (magic !== MAGIC)
    throw unreadable(
      `'${topic}' holds records in a format of before Kafka 0.11 (magic ${magic}), which is not read. Copy them to a new topic.`,
    )
  from.int32()
  const attributes = from.int16()
  const lastOffsetDelta = from.int32()
  const base = Number(from.int64())
  const latest = Number(from.int64())
  const producerId = from.int64()
  from.int16()
  from.int32()
  const count = from.int32()
  const codec = attributes & 7
  // The broker's time of writing stands for all of them.
  const appended = (attributes & 8) !== 0
  const records: KafkaRecord[] = []
  if (count > 0) {
    const packed = from.bytes(from.left)
    const plain = codec === 0 ? packed : await decompress(codec, packed)
    const list = reader(plain)
    const place = { topic, partition, firstOffset, base: appended ? latest : base, appended }
    const headers = headersIn(plain, list)
    for (let index = 0; index < count; index++) records.push(decodeRecord(list, headers, place))
  }
  return {
    firstOffset,
    lastOffset: firstOffset + BigInt(lastOffsetDelta),
    producerId,
    transactional: (attributes & 16) !== 0,
    control: (attributes & 32) !== 0,
    records,
  }
}

function decompress(number: number, bytes: Buffer): Promise<Buffer> {
  const codec = codecOf(number)
  if (!codec) throw unreadable(`a batch is compressed in an unknown way (${number}).`)
  return codec.decompress(bytes)
}

const unreadable = (text: string): PolybusError => new PolybusError('UNSUPPORTED', text, { sent: 'no' })

interface Place {
  readonly topic: string
  readonly partition: number
  readonly firstOffset: bigint
  readonly base: number
  readonly appended: boolean
}

function decodeRecord(
  from: Reader,
  headersOf: ReturnType<typeof headersIn>,
  { topic, partition, firstOffset, base, appended }: Place,
): KafkaRecord {
  const size = from.varint()
  const left = from.left - size
  from.int8()
  const delta = from.varint()
  const offset = firstOffset + BigInt(from.varint())
  const timestamp = base + (appended ? 0 : delta)
  const key = nullable(from)
  const value = nullable(from)
  const headers = headersOf(from.varint())
  if (size < 0 || from.left < left) throw new RangeError('a field ends behind its record')
  // What later versions may add.
  from.bytes(from.left - left)
  return {
    topic,
    partition,
    offset,
    timestamp,
    key,
    value,
    headers,
    bytes: size,
  }
}

const nullable = (from: Reader): Buffer | null => {
  const length = from.varint()
  return length < 0 ? null : from.bytes(length)
}
