// Wire and native forms, pure. Ours are CloudEvents in Kafka's binary mode: the record's key is the key, its value the body,
// and attributes are `ce_…` headers. A record without `ce_specversion` is foreign, and read as its channel's envelope says.
import { isUtf8 } from 'node:buffer'
import { type Envelope, type Headers, type HeaderValue, isoOf, readForeign, type WireMessage } from '@polybus/core'
import type { KafkaRecord, NewRecord, Position, RecordHeader, TopicPartition } from './client.ts'
import { bufferOf, keyBytes, keyText } from './keys.ts'
import type { Layout } from './layout.ts'
import { placeOf } from './names.ts'
import { headerSizes } from './sizes.ts'

type Open = { -readonly [K in keyof WireMessage]: WireMessage[K] }
type Shape = Pick<Layout, 'options'>
type Native = Pick<KafkaRecord, 'topic' | 'partition' | 'offset' | 'timestamp' | 'key' | 'value' | 'headers'>

const VERSION = 'ce_specversion'
const CONTENT_TYPE = 'content-type'
const TIME = 'ce_time'
/** In the order in which they are written. */
const TEXTS = [
  ['ce_id', 'id'],
  ['ce_source', 'source'],
  ['ce_type', 'type'],
  [CONTENT_TYPE, 'contentType'],
  ['ce_dataschema', 'dataSchema'],
  ['ce_correlationid', 'correlationId'],
  ['ce_causationid', 'causationId'],
] as const
type Attribute = (typeof TEXTS)[number][1] | 'time'
const ATTRIBUTES: ReadonlyMap<string, Attribute> = new Map<string, Attribute>([...TEXTS, [TIME, 'time']])
const OURS: RecordHeader = [VERSION, '1.0']

/** The record of a message. Without an envelope attributes stay behind, but for the content type. */
export function toNative(message: WireMessage, { options }: Shape): NewRecord {
  const headers: RecordHeader[] = []
  const bare = options.envelope === 'none'
  if (!bare) headers.push(OURS)
  for (const [name, attribute] of TEXTS) {
    const value = message[attribute]
    if (value !== undefined && !(bare && name !== CONTENT_TYPE)) headers.push([name, value])
  }
  if (message.time !== undefined && !bare) headers.push([TIME, isoOf(message.time)])
  for (const header of message.headers) headers.push(header)
  return { key: message.key === undefined ? null : keyBytes(message.key), value: message.body, headers }
}

/** The message of a record. One without an id is known by its place, and so is one whose id is empty: all of those would be one. */
export function fromNative(record: Native, { options }: Shape): WireMessage {
  const { envelope = 'cloudevents' } = options
  const message = read(record, envelope)
  return message.id === undefined || message.id === '' ? { ...message, id: positionOf(record) } : message
}

function read(record: Native, envelope: Envelope): WireMessage {
  const ours = envelope !== 'none' && record.headers.some((header) => header[0] === VERSION)
  const message = blank(record)
  const headers: [string, HeaderValue][] = []
  for (const [name, value] of record.headers) {
    const attribute = envelope === 'none' && name !== CONTENT_TYPE ? undefined : ATTRIBUTES.get(name)
    // The first of a name is the attribute: what repeats it, or is no text, is somebody's header.
    const text = textOf(value)
    if (attribute !== undefined && message[attribute] === undefined && typeof text === 'string') {
      if (attribute !== 'time') message[attribute] = text
      else message.time = timeOf(text)
    } else if (!(ours && name === VERSION)) headers.push([name, text])
  }
  message.headers = headers
  if (ours) return message
  message.time ??= record.timestamp >= 0 ? record.timestamp : undefined
  const { key, value } = record
  const seen = () => ({
    headers: Object.fromEntries(record.headers.map(([name, each]) => [name, bytesOf(each)])),
    key,
    body: value ?? new Uint8Array(),
  })
  // A tombstone has no body that could be read.
  const fit = typeof envelope === 'object' && value === null ? { ...envelope, body: undefined } : envelope
  return readForeign(message, fit, seen)
}

const blank = ({ key, value }: Native): Open => ({
  id: undefined,
  source: undefined,
  type: undefined,
  time: undefined,
  key: key === null ? undefined : keyText(key),
  headers: [],
  body: value,
  contentType: undefined,
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
})

/**
 * A copy of what came, byte for byte, whose `polybus-*` headers are exactly these. A header without a value gets an empty one:
 * kafkajs cannot write null.
 */
export function copyOf({ key, value, headers }: Native, given: Headers): NewRecord {
  const kept = headers.filter(([name]) => !name.startsWith('polybus-'))
  return { key, value, headers: [...kept, ...given] }
}

/** A message that stands for an original (edited, say), with exactly these headers of core. */
export const withCoreHeaders = (message: WireMessage, given: Headers): WireMessage => ({
  ...message,
  headers: [...message.headers.filter(([name]) => !name.startsWith('polybus-')), ...given],
})

/** Of a batch with one record: what its header takes, and the lengths of key, value and headers. */
const BATCH = 61 + 5 + 1 + 10 + 5 + 5 + 5 + 5
const HEADER = 2 * 5

const ofHeader = ([name, content]: RecordHeader): number =>
  HEADER + Buffer.byteLength(name) + Buffer.byteLength(content)

/** To be asked for one record after the other: see {@link sizeOf}. */
export function sizes(): (record: NewRecord) => number {
  const ofHeaders = headerSizes(ofHeader)
  return ({ key, value, headers }) => BATCH + (key?.byteLength ?? 0) + (value?.byteLength ?? 0) + ofHeaders(headers)
}

/** About the bytes that the broker counts against `max.message.bytes`, rounded up. */
export const sizeOf = (record: NewRecord): number => sizes()(record)

/** As {@link sizeOf} of its record. */
export function size(message: WireMessage): number {
  let bytes = BATCH + (message.key === undefined ? 0 : Buffer.byteLength(message.key)) + (message.body?.byteLength ?? 0)
  bytes += HEADER + VERSION.length + 3
  for (const [name, attribute] of TEXTS) {
    const value = message[attribute]
    if (value !== undefined) bytes += HEADER + name.length + Buffer.byteLength(value)
  }
  if (message.time !== undefined) bytes += HEADER + TIME.length + 24
  for (const [name, value] of message.headers)
    bytes +=
      HEADER + Buffer.byteLength(name) + (typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength)
  return bytes
}

/** Bytes that are text are read as text: the wire does not tell them apart. */
const textOf = (value: Uint8Array | string): HeaderValue =>
  typeof value !== 'string' && isUtf8(value) ? bufferOf(value).toString() : value

const bytesOf = (value: Uint8Array | string): Uint8Array => (typeof value === 'string' ? Buffer.from(value) : value)

function timeOf(text: string): number | undefined {
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : time
}

/** `<topic>/<partition>/<offset>`; also the id of a message that has none. */
export const positionOf = (place: TopicPartition & { readonly offset: bigint }): string =>
  `${placeOf(place)}/${place.offset}`

export function parsePosition(position: string): Position | undefined {
  const match = /^([A-Za-z0-9._-]{1,249})\/(\d{1,9})\/(\d{1,19})$/.exec(position)
  if (!match) return undefined
  const [, topic = '', partition, offset = ''] = match
  return { topic, partition: Number(partition), offset: BigInt(offset) }
}
