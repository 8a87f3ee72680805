// Wire and native forms, pure. An entry's fields are the body in `data`, CloudEvents attributes as `ce_…` (the way Kafka's
// binding writes them) and `content-type`, and after those the headers, each under its own name.
import { crc32 } from 'node:zlib'
import { type Headers, type HeaderValue, isoOf, type WireMessage } from '@polybus/core'
import { createKeep, type Keep } from './bodies.ts'
import {
  asField,
  blank,
  BODY,
  createReadAttributes,
  endOf,
  type Field,
  headerAt,
  isText,
  type Packed,
  pushHeaders,
  type ReadAttributes,
  startOf,
  textAt,
  TEXTS,
  unpack,
  VERSION,
} from './fields.ts'
import { fromForeign } from './foreign.ts'
import type { RedisChannelOptions } from './options.ts'

const NAMES = Object.entries(TEXTS)

/** The entry of a message, body first. */
export function toFields(message: WireMessage): Field[] {
  const { body, time } = message
  const fields: Field[] = []
  if (body !== null) fields.push(BODY, asField(body))
  fields.push(VERSION, '1.0')
  for (const [name, attribute] of NAMES) {
    const value = message[attribute]
    if (value !== undefined) fields.push(name, value)
  }
  if (time !== undefined) fields.push('ce_time', isoOf(time))
  pushHeaders(fields, message.headers)
  return fields
}

/** A foreign message is known by its place in the stream. */
export const foreignId = (channel: string, position: string): string => `${channel}/${position}`

/** What entries that are read one after the other share. */
export interface Reading {
  readonly attributes: ReadAttributes
  readonly keep: Keep
}
export const createReading = (): Reading => ({ attributes: createReadAttributes(), keep: createKeep() })

/** The message of an entry. What is not ours is read by the options of its channel. */
export function fromFields(
  fields: Packed,
  channel: string,
  position: string,
  options: RedisChannelOptions = {},
  reading: Reading = createReading(),
): WireMessage {
  const hasBody = isText(fields, 0, BODY)
  const ours = isText(fields, hasBody ? 2 : 0, VERSION)
  const message = ours ? fromOurs(fields, hasBody, reading) : fromForeign(unpack(fields), options)
  return message.id === undefined ? { ...message, id: foreignId(channel, position) } : message
}

function fromOurs(fields: Packed, hasBody: boolean, { attributes, keep }: Reading): WireMessage {
  const message = blank(hasBody ? keep(fields, 1) : null)
  let index = attributes(fields, hasBody ? 4 : 2, message)
  for (; index < fields.count; index += 2) message.headers.push([textAt(fields, index), headerAt(fields, index + 1)])
  return message
}

/** The message with headers given at a release: they replace its own of core. */
export function withCoreHeaders(message: WireMessage, headers: Headers): WireMessage {
  return { ...message, headers: [...message.headers.filter(([name]) => !name.startsWith('polybus-')), ...headers] }
}

/** Bytes of names and values, in UTF-8, as the server stores them. */
export function size(message: WireMessage): number {
  let bytes = VERSION.length + 3 + (message.body === null ? 0 : BODY.length + message.body.byteLength)
  for (const [name, attribute] of NAMES) {
    const value = message[attribute]
    if (value !== undefined) bytes += name.length + Buffer.byteLength(value)
  }
  if (message.time !== undefined) bytes += 'ce_time'.length + 24
  for (const [name, value] of message.headers) bytes += Buffer.byteLength(name) + lengthOf(value)
  return bytes
}
const lengthOf = (value: HeaderValue): number =>
  typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength

export function bytesOf(fields: Packed): number {
  let bytes = 0
  for (let index = 0; index < fields.count; index++) bytes += endOf(fields, index) - startOf(fields, index)
  return bytes
}

/** CRC-32 of the key's UTF-8, modulo the partitions: every language has it, so that foreign producers can agree. */
export const partitionOf = (key: string, count: number): number => (count === 1 ? 0 : crc32(key) % count)

/** `<partition>/<entry id>`; undefined for everything else, positions of retries and dead letters too. */
export function parsePosition(position: string): { readonly partition: number; readonly id: string } | undefined {
  const match = /^(\d{1,3})\/(\d{1,20}-\d{1,20})$/.exec(position)
  return match ? { partition: Number(match[1]), id: match[2] as string } : undefined
}
