// The request that writes batches, made by ourselves: libraries take headers as an object or a map, so that their order or
// those that stand twice would be lost.
import { PolybusError } from '@polybus/core'
import type { NewRecord, RecordHeader, RecordHeaders } from '../client.ts'
import { codecOf } from '../codecs.ts'
import { placeOf } from '../names.ts'
import { headerSizes, isSame } from '../sizes.ts'
import { crc32c, int32, putText, putVarint, reader, repeat, text16, varintSize } from './bytes.ts'
import type { Broker } from './wire.ts'

export interface ProduceRequest {
  readonly transactionalId: string | undefined
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly timeoutMs: number
  readonly compression: number
  readonly batches: readonly ProduceBatch[]
}
export interface ProduceBatch {
  readonly topic: string
  readonly partition: number
  readonly firstSequence: number
  /** For records without a time of their own. */
  readonly now: number
  readonly records: readonly NewRecord[]
}
/** By topic and partition. */
export type ProduceAnswer = ReadonlyMap<string, { readonly errorCode: number; readonly baseOffset: bigint }>

const API = 0
const OLDEST = 3
/** From here on zstd may be used. */
const NEWEST = 7

export async function produce(broker: Broker, request: ProduceRequest): Promise<ProduceAnswer> {
  const { minVersion, maxVersion } = broker.supports(API) ?? { minVersion: OLDEST, maxVersion: OLDEST }
  const version = Math.min(NEWEST, maxVersion)
  if (version < Math.max(OLDEST, minVersion))
    throw new PolybusError(
      'UNSUPPORTED',
      `This broker is written to by versions ${minVersion} to ${maxVersion} of Produce only.`,
      { sent: 'no' },
    )
  const body = await encodeRequest(request)
  return broker.send({ apiKey: API, apiVersion: version, body, decode: (payload) => decodeAnswer(payload, version) })
}

function decodeAnswer(
  payload: Buffer,
  version: number,
): { readonly throttleMs: number; readonly value: ProduceAnswer } {
  const from = reader(payload)
  const value = new Map<string, { errorCode: number; baseOffset: bigint }>()
  for (let topics = from.int32(); topics > 0; topics--) {
    const topic = from.string()
    for (let count = from.int32(); count > 0; count--) {
      const place = placeOf({ topic, partition: from.int32() })
      value.set(place, { errorCode: from.int16(), baseOffset: from.int64() })
      from.int64()
      if (version >= 5) from.int64()
    }
  }
  return { throttleMs: version >= 6 ? from.int32() : 0, value }
}

async function encodeRequest(request: ProduceRequest): Promise<Buffer> {
  const { transactionalId, timeoutMs, batches } = request
  const topics = new Map<string, ProduceBatch[]>()
  for (const batch of batches) topics.set(batch.topic, [...(topics.get(batch.topic) ?? []), batch])
  const parts: Buffer[] = []
  const head = Buffer.alloc(10)
  head.writeInt16BE(-1, 0)
  head.writeInt32BE(timeoutMs, 2)
  head.writeInt32BE(topics.size, 6)
  parts.push(transactionalId === undefined ? Buffer.from([0xff, 0xff]) : text16(transactionalId), head)
  for (const [topic, list] of topics) {
    parts.push(text16(topic), int32(list.length))
    for (const batch of list) {
      const encoded = await encodeBatch(request, batch)
      parts.push(int32(batch.partition), int32(encoded.length), encoded)
    }
  }
  return Buffer.concat(parts)
}

const HEADER = 61
const CRC_AT = 17
const CHECKED_FROM = 21

async function encodeBatch(
  { transactionalId, producerId, producerEpoch, compression }: ProduceRequest,
  { records, firstSequence, now }: ProduceBatch,
): Promise<Buffer> {
  const times = records.map(({ timestamp = now }) => timestamp)
  const base = times[0] ?? now
  const plain = encodeRecords(records, times, base, HEADER)
  const packed = await codecOf(compression)?.compress(plain.subarray(HEADER))
  const batch = packed ? Buffer.concat([Buffer.allocUnsafe(HEADER), packed]) : plain
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(-1, 12)
  batch.writeInt8(2, 16)
  batch.writeInt16BE(compression | (transactionalId === undefined ? 0 : 16), 21)
  batch.writeInt32BE(records.length - 1, 23)
  batch.writeBigInt64BE(BigInt(base), 27)
  batch.writeBigInt64BE(BigInt(times.reduce((latest, time) => Math.max(latest, time), base)), 35)
  batch.writeBigInt64BE(producerId, 43)
  batch.writeInt16BE(producerEpoch, 51)
  batch.writeInt32BE(firstSequence, 53)
  batch.writeInt32BE(records.length, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(CHECKED_FROM)), CRC_AT)
  return batch
}

/** Behind so much room. */
function encodeRecords(records: readonly NewRecord[], times: readonly number[], base: number, room: number): Buffer {
  const sizeOfHeaders = exactly()
  const sizes = records.map(
    (record, index) => contentOf(record, (times[index] ?? base) - base, index) + sizeOfHeaders(record.headers),
  )
  const total = sizes.reduce((sum, size) => sum + varintSize(size) + size, 0)
  const buffer = Buffer.allocUnsafe(room + total)
  const putHeaders = headersTo(buffer)
  let at = room
  for (let index = 0; index < records.length; index++) {
    const { key, value, headers } = records[index] as NewRecord
    at = putVarint(buffer, at, sizes[index] as number)
    buffer[at++] = 0
    at = putVarint(buffer, at, (times[index] ?? base) - base)
    at = putVarint(buffer, at, index)
    at = putContent(buffer, at, key)
    at = putContent(buffer, at, value)
    at = putHeaders(at, headers)
  }
  return buffer
}

const exactly = (): ((headers: RecordHeaders) => number) =>
  headerSizes(([name, value]) => contentSize(name) + contentSize(value))

/** Most headers are those of the record before: they are copied from there. */
function headersTo(buffer: Buffer): (at: number, headers: RecordHeaders) => number {
  let before: RecordHeaders = []
  /** Of those before, by place: where each begins, and how long it is. */
  const starts: number[] = []
  const sizes: number[] = []
  return (at, headers) => {
    let to = putVarint(buffer, at, headers.length)
    for (let index = 0; index < headers.length; index++) {
      const header = headers[index] as RecordHeader
      const start = to
      if (isSame(header, before[index])) to = repeat(buffer, to, starts[index] as number, sizes[index] as number)
      else to = putContent(buffer, putContent(buffer, to, header[0]), header[1])
      starts[index] = start
      sizes[index] = to - start
    }
    before = headers
    return to
  }
}

/** About what they take in a batch. */
export function sizeOfRecords(records: readonly NewRecord[]): number {
  const sizeOfHeaders = exactly()
  return records.reduce((sum, record) => sum + contentOf(record, 0, 0) + sizeOfHeaders(record.headers) + 5, 0)
}

/** All but the headers themselves. */
const contentOf = ({ key, value, headers }: NewRecord, delta: number, index: number): number =>
  1 + varintSize(delta) + varintSize(index) + contentSize(key) + contentSize(value) + varintSize(headers.length)

function contentSize(content: Uint8Array | string | null): number {
  if (content === null) return 1
  const length = typeof content === 'string' ? Buffer.byteLength(content) : content.byteLength
  return varintSize(length) + length
}
function putContent(buffer: Buffer, at: number, content: Uint8Array | string | null): number {
  if (content === null) return putVarint(buffer, at, -1)
  if (typeof content === 'string') return putText(buffer, at, content)
  const to = putVarint(buffer, at, content.byteLength)
  buffer.set(content, to)
  return to + content.byteLength
}
