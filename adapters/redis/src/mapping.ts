// Wire and native forms, pure. An entry's fields are the body in `data`, CloudEvents attributes as `ce_…` (the way Kafka's
// binding writes them) and `content-type`, and after those the headers, each under its own name.
import { crc32 } from 'node:zlib'
import type { Headers, HeaderValue, WireMessage } from '@polybus/core'
import {
  asField,
  ATTRIBUTES,
  blank,
  BODY,
  type Field,
  headerOf,
  pushHeaders,
  setAttribute,
  text,
  TEXTS,
  VERSION,
} from './fields.ts'
import { fromForeign } from './foreign.ts'
import type { RedisChannelOptions } from './options.ts'

/** The entry of a message, body first. */
export function toFields(message: WireMessage): Field[] {
  const { body, time } = message
  const fields: Field[] = []
  if (body !== null) fields.push(BODY, asField(body))
  fields.push(VERSION, '1.0')
  for (const name of Object.keys(TEXTS) as (keyof typeof TEXTS)[]) {
    const value = message[TEXTS[name]]
    if (value !== undefined) fields.push(name, value)
  }
  if (time !== undefined) fields.push('ce_time', new Date(time).toISOString())
  pushHeaders(fields, message.headers)
  return fields
}

/** A foreign message is known by its place in the stream. */
export const foreignId = (channel: string, position: string): string => `${channel}/${position}`

/** The message of an entry. What is not ours is read by the options of its channel. */
export function fromFields(
  fields: readonly Buffer[],
  channel: string,
  position: string,
  options: RedisChannelOptions = {},
): WireMessage {
  const first = fields[0]?.toString()
  const ours = first === VERSION || (first === BODY && fields[2]?.toString() === VERSION)
  const message = ours ? fromOurs(fields, first === BODY) : fromForeign(fields, options)
  return message.id === undefined ? { ...message, id: foreignId(channel, position) } : message
}

function fromOurs(fields: readonly Buffer[], hasBody: boolean): WireMessage {
  const message = blank(hasBody ? (fields[1] as Buffer) : null)
  let index = hasBody ? 4 : 2
  for (; index < fields.length; index += 2) {
    const attribute = ATTRIBUTES.get(text(fields[index]))
    // Attributes end where the headers begin; a header may have any name.
    if (attribute === undefined || message[attribute] !== undefined) break
    setAttribute(message, attribute, fields[index + 1])
  }
  for (; index < fields.length; index += 2) message.headers.push([text(fields[index]), headerOf(fields[index + 1])])
  return message
}

/** The message with headers given at a release: they replace its own of core. */
export function withCoreHeaders(message: WireMessage, headers: Headers): WireMessage {
  return { ...message, headers: [...message.headers.filter(([name]) => !name.startsWith('polybus-')), ...headers] }
}

/** Bytes of names and values, in UTF-8, as the server stores them. */
export function size(message: WireMessage): number {
  let bytes = VERSION.length + 3 + (message.body === null ? 0 : BODY.length + message.body.byteLength)
  for (const name of Object.keys(TEXTS) as (keyof typeof TEXTS)[]) {
    const value = message[TEXTS[name]]
    if (value !== undefined) bytes += name.length + Buffer.byteLength(value)
  }
  if (message.time !== undefined) bytes += 'ce_time'.length + 24
  for (const [name, value] of message.headers) bytes += Buffer.byteLength(name) + lengthOf(value)
  return bytes
}
const lengthOf = (value: HeaderValue): number =>
  typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength

export function bytesOf(fields: readonly Buffer[]): number {
  let bytes = 0
  for (const field of fields) bytes += field.length
  return bytes
}

/** CRC-32 of the key's UTF-8, modulo the partitions: every language has it, so that foreign producers can agree. */
export const partitionOf = (key: string, count: number): number => (count === 1 ? 0 : crc32(key) % count)

/** `<partition>/<entry id>`; undefined for everything else, positions of retries and dead letters too. */
export function parsePosition(position: string): { readonly partition: number; readonly id: string } | undefined {
  const match = /^(\d{1,3})\/(\d{1,20}-\d{1,20})$/.exec(position)
  return match ? { partition: Number(match[1]), id: match[2] as string } : undefined
}
