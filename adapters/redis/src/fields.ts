// What an entry is made of: names and values, and which of them mean something.
import { isUtf8 } from 'node:buffer'
import type { Headers, HeaderValue, WireMessage } from '@polybus/core'
import type { RedisChannelOptions } from './options.ts'

export type Field = string | Buffer
/** Names and values in turn. */
export type Fields = readonly Field[]

/** Whether its entries are as other programs write them, without attributes. */
export const isBare = ({ envelope }: RedisChannelOptions): boolean => envelope === 'none' || envelope === 'fields'

export const BODY = 'data'
export const VERSION = 'ce_specversion'
export const TEXTS = {
  ce_id: 'id',
  ce_source: 'source',
  ce_type: 'type',
  ce_partitionkey: 'key',
  'content-type': 'contentType',
  ce_dataschema: 'dataSchema',
  ce_correlationid: 'correlationId',
  ce_causationid: 'causationId',
} as const
export type Attribute = (typeof TEXTS)[keyof typeof TEXTS] | 'time'
export const ATTRIBUTES: ReadonlyMap<string, Attribute> = new Map<string, Attribute>([
  ...(Object.entries(TEXTS) as [string, Attribute][]),
  ['ce_time', 'time'],
])
/** ioredis writes texts faster than bytes; beyond this the copy costs more. */
const AS_TEXT = 16 * 1024

export type Open = { -readonly [K in keyof WireMessage]: WireMessage[K] } & { headers: [string, HeaderValue][] }

export const blank = (body: Buffer | null): Open => ({
  id: undefined,
  source: undefined,
  type: undefined,
  time: undefined,
  key: undefined,
  headers: [],
  body,
  contentType: undefined,
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
})

export function setAttribute(message: Open, attribute: Attribute, value: Buffer | undefined): void {
  if (attribute !== 'time') {
    message[attribute] = text(value)
    return
  }
  const time = Date.parse(text(value))
  message.time = Number.isNaN(time) ? undefined : time
}

export const text = (value: Buffer | undefined): string => value?.toString() ?? ''
/** Bytes that are text are read as text: the wire does not tell them apart. */
export const headerOf = (value: Buffer | undefined): HeaderValue =>
  value === undefined ? '' : isUtf8(value) ? value.toString() : value
export const bufferOf = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
export const asField = (value: Uint8Array): Field => {
  const buffer = bufferOf(value)
  return buffer.length <= AS_TEXT && isUtf8(buffer) ? buffer.toString() : buffer
}

export function pushHeaders(fields: Field[], headers: Headers): void {
  for (const [name, value] of headers) fields.push(name, typeof value === 'string' ? value : bufferOf(value))
}
