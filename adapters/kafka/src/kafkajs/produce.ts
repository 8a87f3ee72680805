// The request that writes batches, made by ourselves: kafkajs takes headers as an object, so that their order would be lost.
import { PolybusError } from '@polybus/core'
import type { NewRecord } from '../client.ts'
import { codecOf } from '../codecs.ts'
import { placeOf } from '../names.ts'
import type { Broker } from './internals.ts'
import { crc32c, putVarint, reader, varintSize } from './wire.ts'

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
  const { minVersion = OLDEST, maxVersion = OLDEST } = broker.versions?.[API] ?? {}
  const version = Math.min(NEWEST, maxVersion)
  if (version < Math.max(OLDEST, minVersion))
    throw new PolybusError(
      'UNSUPPORTED',
      `This broker is written to by versions ${minVersion} to ${maxVersion} of Produce only.`,
      { sent: 'no' },
    )
  const buffer = await encodeRequest(request)
  const encoded = { buf: buffer, buffer }
  return (await broker.connectionPool.send({
    request: { apiKey: API, apiVersion: version, apiName: 'Produce', encode: () => Promise.resolve(encoded) },
    response: {
      decode: (payload) => Promise.resolve(decodeAnswer(payload, version)),
      parse: (data) => Promise.resolve((data as { answer: ProduceAnswer }).answer),
    },
  })) as ProduceAnswer
}

function decodeAnswer(payload: Buffer, version: number): { clientSideThrottleTime: number; answer: ProduceAnswer } {
  const from = reader(payload)
  const answer = new Map<string, { errorCode: number; baseOffset: bigint }>()
  for (let topics = from.int32(); topics > 0; topics--) {
    const topic = from.string()
    for (let count = from.int32(); count > 0; count--) {
      const place = placeOf({ topic, partition: from.int32() })
      answer.set(place, { errorCode: from.int16(), baseOffset: from.int64() })
      from.int64()
      if (version >= 5) from.int64()
    }
  }
  return { clientSideThrottleTime: version >= 6 ? from.int32() : 0, answer }
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
  parts.push(transactionalId === undefined ? Buffer.from([0xff, 0xff]) : textOf(transactionalId), head)
  for (const [topic, list] of topics) {
    parts.push(textOf(topic), int32(list.length))
    for (const batch of list) {
      const encoded = await encodeBatch(request, batch)
      parts.push(int32(batch.partition), int32(encoded.length), encoded)
    }
  }
  return Buffer.concat(parts)
}

const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}
const textOf = (text: string): Buffer => {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(2)
  length.writeInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
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
  const plain = encodeRecords(records, times, base)
  const packed = (await codecOf(compression)?.compress(plain)) ?? plain
  const batch = Buffer.allocUnsafe(HEADER + packed.length)
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
  packed.copy(batch, HEADER)
  batch.writeUInt32BE(crc32c(batch.subarray(CHECKED_FROM)), CRC_AT)
  return batch
}

function encodeRecords(records: readonly NewRecord[], times: readonly number[], base: number): Buffer {
  const sizes = records.map((record, index) => sizeOf(record, (times[index] ?? base) - base, index))
  const total = sizes.reduce((sum, size) => sum + varintSize(size) + size, 0)
  const buffer = Buffer.allocUnsafe(total)
  let at = 0
  for (const [index, { key, value, headers }] of records.entries()) {
    at = putVarint(buffer, at, sizes[index] as number)
    buffer[at++] = 0
    at = putVarint(buffer, at, (times[index] ?? base) - base)
    at = putVarint(buffer, at, index)
    at = putContent(buffer, at, key)
    at = putContent(buffer, at, value)
    at = putVarint(buffer, at, headers.length)
    for (const [name, content] of headers) at = putContent(buffer, putContent(buffer, at, name), content)
  }
  return buffer
}

/** About what a record takes in a batch. */
export const sizeOfRecord = (record: NewRecord): number => sizeOf(record, 0, 0) + 5

function sizeOf({ key, value, headers }: NewRecord, delta: number, index: number): number {
  let size =
    1 + varintSize(delta) + varintSize(index) + contentSize(key) + contentSize(value) + varintSize(headers.length)
  for (const [name, content] of headers) size += contentSize(name) + contentSize(content)
  return size
}
function contentSize(content: Uint8Array | string | null): number {
  if (content === null) return 1
  const length = Buffer.byteLength(content)
  return varintSize(length) + length
}
function putContent(buffer: Buffer, at: number, content: Uint8Array | string | null): number {
  if (content === null) return putVarint(buffer, at, -1)
  const to = putVarint(buffer, at, Buffer.byteLength(content))
  if (typeof content === 'string') return to + buffer.write(content, to)
  buffer.set(content, to)
  return to + content.byteLength
}
