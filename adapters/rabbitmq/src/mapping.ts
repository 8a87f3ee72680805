// Wire and native forms, pure. What has a place among AMQP's properties goes there; other CloudEvents attributes are `ce_…`
// headers, as on Redis and Kafka. A message without `ce_specversion` is foreign.
import { crc32 } from 'node:zlib'
import type { ConsumeMessage, Message, Options } from 'amqplib'
import { type Headers, type HeaderValue, isoOf, readForeign, type WireMessage } from '@polybus/core'
import type { RabbitmqChannelOptions, RabbitmqForeignMessage } from './options.ts'

export interface Native {
  readonly content: Buffer
  readonly options: Options.Publish
}
type Table = Record<string, unknown>

const VERSION = 'ce_specversion'
/** Headers that RabbitMQ routes by or writes itself, and names that a field table cannot hold: they travel in one of ours. */
const OWN = /^(CC|BCC|x-death|x-delivery-count|x-acquired-count|x-delivery-time|x-(first|last)-death-.*|__proto__)$/
const MORE = 'polybus-more-headers'
const NULL_BODY = 'polybus-null-body'
/** Which lane's queue a rung hands a message to. */
export const LANE = 'polybus-lane'
const INTERNAL = new Set([MORE, NULL_BODY, LANE])
const SHORT = 255

/** Of attributes of ours; where they are AMQP's properties too, only of what has no room there. */
const CE = new Set<string>([
  VERSION,
  'ce_id',
  'ce_type',
  'ce_datacontenttype',
  'ce_correlationid',
  'ce_source',
  'ce_time',
  'ce_partitionkey',
  'ce_dataschema',
  'ce_causationid',
])

/** A unit of UTF-16 has three bytes at most. */
const fits = (text: string): boolean => text.length * 3 <= SHORT || Buffer.byteLength(text) <= SHORT
const bufferOf = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
const isShort = (name: string, seen: Table): boolean =>
  name !== '' && fits(name) && !OWN.test(name) && !CE.has(name) && !Object.hasOwn(seen, name)

/** The native form of a message. `lane`: for rungs of a keyed group. */
export function toNative(message: WireMessage, lane?: number, priority?: number): Native {
  const headers: Table = { [VERSION]: '1.0' }
  const short = (value: string | undefined, header: string): string | undefined => {
    if (value === undefined || fits(value)) return value
    headers[header] = value
    return undefined
  }
  const put = (header: string, value: string | undefined): void => {
    if (value !== undefined) headers[header] = value
  }
  // Spelt out, and not in a loop over names: each publish comes here.
  const options = {
    headers,
    persistent: true,
    mandatory: true,
    messageId: short(message.id, 'ce_id'),
    type: short(message.type, 'ce_type'),
    contentType: short(message.contentType, 'ce_datacontenttype'),
    correlationId: short(message.correlationId, 'ce_correlationid'),
    // The property counts in seconds.
    timestamp: message.time === undefined ? undefined : Math.max(0, Math.floor(message.time / 1000)),
  } as Options.Publish
  if (priority !== undefined) options.priority = priority
  put('ce_source', message.source)
  put('ce_partitionkey', message.key)
  put('ce_dataschema', message.dataSchema)
  put('ce_causationid', message.causationId)
  if (message.time !== undefined) headers['ce_time'] = isoOf(message.time)
  if (message.body === null) headers[NULL_BODY] = '1'
  putHeaders(headers, message.headers)
  if (lane !== undefined) headers[LANE] = String(lane)
  return { content: message.body === null ? Buffer.alloc(0) : bufferOf(message.body), options }
}

/** As other programs write messages: no header of ours but what stands for something that AMQP has no form for. */
export function bareOf({ content, options }: Native): Native {
  const headers = Object.fromEntries(Object.entries((options.headers ?? {}) as Table).filter(([name]) => !CE.has(name)))
  return { content, options: { ...options, headers } }
}

/** Duplicates, and names that cannot stand in a table, go into one header, as JSON. */
function putHeaders(table: Table, headers: Headers): void {
  const more: (readonly [string, string, 1?])[] = []
  for (const [name, value] of headers) {
    if (isShort(name, table) && !INTERNAL.has(name)) table[name] = typeof value === 'string' ? value : bufferOf(value)
    else more.push(typeof value === 'string' ? [name, value] : [name, bufferOf(value).toString('base64'), 1])
  }
  if (more.length > 0) table[MORE] = JSON.stringify(more)
}

function moreHeaders(value: unknown): [string, HeaderValue][] {
  if (typeof value !== 'string') return []
  try {
    const list = JSON.parse(value) as (readonly [string, string, 1?])[]
    return list.map(([name, text, binary]) => [name, binary ? Buffer.from(text, 'base64') : text])
  } catch {
    return []
  }
}

/** What a text says, in milliseconds since 1970; NaN where it is no time. */
export type TimeIn = (text: string) => number

/** For one message after the other: many are of one millisecond, and reading that costs more than all their other attributes. */
export function timesIn(): TimeIn {
  let last: string | undefined
  let time = NaN
  return (text) => {
    if (text === last) return time
    time = Date.parse(text)
    last = text
    return time
  }
}

/** The message as it came. What is not ours keeps its id only where that is trusted. */
export function fromNative(
  { content, properties }: Pick<Message, 'content' | 'properties'>,
  { envelope = 'cloudevents', trustMessageId: trusted = false }: RabbitmqChannelOptions = {},
  timeIn: TimeIn = timesIn(),
): WireMessage {
  const table: Table = properties.headers ?? {}
  const ours = table[VERSION] !== undefined
  // A copy of ours keeps its attributes in any case.
  const bare = !ours && envelope === 'none'
  const headers: [string, HeaderValue][] = []
  for (const name of Object.keys(table)) {
    const value = table[name]
    if ((bare || !CE.has(name)) && !INTERNAL.has(name) && !OWN.test(name) && value !== undefined)
      headers.push([name, valueOf(value)])
  }
  if (table[MORE] !== undefined) headers.push(...moreHeaders(table[MORE]))
  const text = (name: string): string | undefined => {
    const value = bare ? undefined : table[name]
    return typeof value === 'string' ? value : undefined
  }
  const property = (header: string, value: unknown): string | undefined => text(header) ?? (value as string | undefined)
  const message: WireMessage = {
    id: ours || trusted || text('ce_id') !== undefined ? property('ce_id', properties.messageId) : undefined,
    source: text('ce_source'),
    type: property('ce_type', properties.type),
    time: timeOf(text('ce_time'), properties.timestamp as unknown, timeIn),
    key: text('ce_partitionkey'),
    headers,
    body: table[NULL_BODY] === '1' && content.length === 0 ? null : content,
    contentType: property('ce_datacontenttype', properties.contentType),
    dataSchema: text('ce_dataschema'),
    correlationId: property('ce_correlationid', properties.correlationId),
    causationId: text('ce_causationid'),
  }
  return ours ? message : readForeign(message, envelope, () => seenOf({ content, properties }))
}

/** What an envelope's functions are given. */
const seenOf = ({ content, properties }: Pick<Message, 'content' | 'properties'>): RabbitmqForeignMessage => ({
  headers: Object.fromEntries(
    Object.entries((properties.headers ?? {}) as Table)
      .filter(([name]) => !name.startsWith('polybus-'))
      .map(([name, value]) => [name, bytesOf(valueOf(value))]),
  ),
  key: null,
  body: content,
  // Messages that come one after the other share a table: what a function does to its own must not reach the others.
  properties: { ...properties, headers: { ...properties.headers } },
})
const bytesOf = (value: HeaderValue): Uint8Array => (typeof value === 'string' ? Buffer.from(value) : value)

/** Of what a Date can hold; AMQP's time goes further. */
const LAST_MS = 8.64e15

function timeOf(text: string | undefined, seconds: unknown, timeIn: TimeIn): number | undefined {
  const time = text === undefined ? NaN : timeIn(text)
  if (!Number.isNaN(time)) return time
  return typeof seconds === 'number' && Math.abs(seconds * 1000) <= LAST_MS ? seconds * 1000 : undefined
}

/** How often it was handed over, this time included. Whoever publishes may write the header; only with a redelivery it is the broker's. */
export function countOf({ fields, properties }: ConsumeMessage): number {
  const counted = properties.headers?.['x-delivery-count'] as unknown
  return fields.redelivered ? (typeof counted === 'number' ? counted : 1) + 1 : 1
}

/** Foreign tables hold numbers, times and tables too. */
function valueOf(value: unknown): HeaderValue {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  return JSON.stringify(value) ?? ''
}

const KEPT = [
  'contentType',
  'contentEncoding',
  'correlationId',
  'messageId',
  'type',
  'appId',
  'replyTo',
  'timestamp',
  'priority',
] as const

/**
 * A copy of what came, byte for byte, whose `polybus-*` headers are exactly these. Expiration and user id stay behind: they
 * would delete the copy, or be refused. So do CC and BCC, which would send it elsewhere too, and what the broker counted.
 */
export function copyOf(
  { content, properties }: Pick<Message, 'content' | 'properties'>,
  given: Headers,
  lane?: number,
): Native {
  const headers: Table = {}
  const table: Table = properties.headers ?? {}
  for (const [name, value] of Object.entries(table))
    if (!OWN.test(name) && !(name.startsWith('polybus-') && name !== NULL_BODY)) headers[name] = value
  putHeaders(headers, [...moreHeaders(table[MORE]).filter(([name]) => !name.startsWith('polybus-')), ...given])
  if (lane !== undefined) headers[LANE] = String(lane)
  const options: Options.Publish & Table = { headers, persistent: true, mandatory: true }
  for (const name of KEPT) if (properties[name] !== undefined) (options as Table)[name] = properties[name]
  return { content, options }
}

const ATTRIBUTES = ['id', 'type', 'contentType', 'correlationId', 'source', 'key', 'dataSchema', 'causationId'] as const

/** Bytes of body, properties and headers, about as a field table holds them. */
export function size(message: WireMessage): number {
  let bytes = (message.body?.byteLength ?? 24) + 40
  for (const attribute of ATTRIBUTES) {
    const value = message[attribute]
    if (value !== undefined) bytes += 20 + Buffer.byteLength(value)
  }
  for (const [name, value] of message.headers)
    bytes += 6 + Buffer.byteLength(name) + (typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength)
  return bytes
}

/** CRC-32 of the key's UTF-8, modulo the partitions: every language has it, so that foreign producers can agree. */
export const partitionOf = (key: string | undefined, count: number): number =>
  count === 1 || key === undefined ? 0 : crc32(key) % count
