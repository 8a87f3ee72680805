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

export function setAttribute(message: Open, attribute: Attribute, value: string): void {
  if (attribute === 'time') message.time = timeOf(value)
  else message[attribute] = value
}
function timeOf(text: string): number | undefined {
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : time
}

/** The names and values of an entry where they lie: start and end of each, in turn. */
export interface Packed {
  readonly bytes: Buffer
  readonly at: Int32Array
  /** Where in `at` it begins. */
  readonly from: number
  readonly count: number
}
/** Of an entry without fields, and of one that was deleted. */
export const NO_FIELDS: Packed = { bytes: Buffer.alloc(0), at: new Int32Array(0), from: 0, count: 0 }

export function pack(fields: Fields): Packed {
  const buffers = fields.map((field) => Buffer.from(field))
  const at = new Int32Array(2 * buffers.length)
  let end = 0
  for (const [index, { length }] of buffers.entries()) {
    at[2 * index] = end
    at[2 * index + 1] = end += length
  }
  return { bytes: Buffer.concat(buffers), at, from: 0, count: fields.length }
}

/** Together they keep the bytes of their entry, and nothing else. */
export function unpack(fields: Packed): Buffer[] {
  const { count } = fields
  if (count === 0) return []
  const first = startOf(fields, 0)
  const own = copyOf(fields, first, endOf(fields, count - 1))
  return Array.from({ length: count }, (_, index) =>
    own.subarray(startOf(fields, index) - first, endOf(fields, index) - first),
  )
}
function copyOf({ bytes }: Packed, start: number, end: number): Buffer {
  const own = Buffer.allocUnsafeSlow(end - start)
  bytes.copy(own, 0, start, end)
  return own
}

export const startOf = ({ at, from }: Packed, index: number): number => at[from + 2 * index] as number
export const endOf = ({ at, from }: Packed, index: number): number => at[from + 2 * index + 1] as number
/** Of a field that there is not, too. */
export const textAt = (fields: Packed, index: number): string =>
  index < fields.count ? fields.bytes.toString('utf8', startOf(fields, index), endOf(fields, index)) : ''

/** Whether the field is that text; of texts beyond ASCII it always says no, and of a field that there is not. */
export function isText(fields: Packed, index: number, text: string): boolean {
  if (index >= fields.count) return false
  const { bytes } = fields
  const start = startOf(fields, index)
  const { length } = text
  if (endOf(fields, index) - start !== length) return false
  for (let place = 0; place < length; place++) {
    const code = text.charCodeAt(place)
    if (bytes[start + place] !== code || code > 127) return false
  }
  return true
}

/** Sets the attributes that stand from there on, and answers where they end. */
export type ReadAttributes = (fields: Packed, from: number, message: Open) => number

/** Of one entry after the other. Most have what one before had in the same place of the same reply: that is not made into text again. */
export function createReadAttributes(): ReadAttributes {
  let slots: (Slot | undefined)[] = []
  let bytes: Buffer | undefined
  return (fields, from, message) => {
    if (fields.bytes !== bytes) slots = []
    bytes = fields.bytes
    let index = from
    for (; index < fields.count; index += 2) {
      let slot = slots[index]
      if (slot === undefined || !isSame(fields, index, slot.start, slot.end)) {
        const attribute = ATTRIBUTES.get(textAt(fields, index))
        if (attribute === undefined) break
        const start = startOf(fields, index)
        const end = endOf(fields, index)
        slots[index] = slot = { attribute, start, end, valueStart: -1, valueEnd: -1, value: '', time: undefined }
      }
      const { attribute } = slot
      // Attributes end where the headers begin; a header may have any name.
      if (message[attribute] !== undefined) break
      // No two ids are the same.
      if (attribute === 'id') {
        message.id = textAt(fields, index + 1)
        continue
      }
      if (slot.valueStart < 0 || !isSame(fields, index + 1, slot.valueStart, slot.valueEnd)) {
        slot.valueStart = startOf(fields, index + 1)
        slot.valueEnd = endOf(fields, index + 1)
        slot.value = textAt(fields, index + 1)
        if (attribute === 'time') slot.time = timeOf(slot.value)
      }
      if (attribute === 'time') message.time = slot.time
      else message[attribute] = slot.value
    }
    return index
  }
}

/** What stood in one place of an entry: where, and what it means. */
interface Slot {
  readonly attribute: Attribute
  readonly start: number
  readonly end: number
  valueStart: number
  valueEnd: number
  value: string
  time: number | undefined
}

/** Whether a field has the bytes that lie there. */
function isSame(fields: Packed, index: number, start: number, end: number): boolean {
  const { bytes } = fields
  const here = startOf(fields, index)
  if (endOf(fields, index) - here !== end - start) return false
  const shift = start - here
  // Most differ at their end, if they do.
  for (let place = endOf(fields, index) - 1; place >= here; place--)
    if (bytes[place] !== bytes[place + shift]) return false
  return true
}

export const text = (value: Buffer | undefined): string => value?.toString() ?? ''
/** Bytes that are text are read as text: the wire does not tell them apart. */
export const headerOf = (value: Buffer | undefined): HeaderValue =>
  value === undefined ? '' : isUtf8(value) ? value.toString() : value
/** As `headerOf`, of the bytes of a field. */
export function headerAt(fields: Packed, index: number): HeaderValue {
  if (index >= fields.count) return ''
  const value = textAt(fields, index)
  // What is no UTF-8 has this character in place of it; so may what is.
  return value.includes('\ufffd') ? headerOf(copyOf(fields, startOf(fields, index), endOf(fields, index))) : value
}
export const bufferOf = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
export const asField = (value: Uint8Array): Field => {
  const buffer = bufferOf(value)
  return buffer.length <= AS_TEXT && isUtf8(buffer) ? buffer.toString() : buffer
}

export function pushHeaders(fields: Field[], headers: Headers): void {
  for (const [name, value] of headers) fields.push(name, typeof value === 'string' ? value : bufferOf(value))
}
