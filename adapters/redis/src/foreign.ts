// Entries that Polybus did not write, and those that are written for programs that know nothing of it.
import { type ForeignMessage, type HeaderValue, PolybusError, readForeign, type WireMessage } from '@polybus/core'
import {
  asField,
  ATTRIBUTES,
  blank,
  BODY,
  bufferOf,
  type Field,
  headerOf,
  isBare,
  type Open,
  pushHeaders,
  setAttribute,
  text,
  VERSION,
} from './fields.ts'
import type { RedisChannelOptions } from './options.ts'

const CONTENT_TYPE = 'content-type'

/** By the options of its channel. */
export function fromForeign(fields: readonly Buffer[], options: RedisChannelOptions): WireMessage {
  const { envelope = 'cloudevents' } = options
  const message = readFields(fields, options)
  return readForeign(message, envelope === 'fields' ? 'none' : envelope, () => seenOf(fields, message, options))
}

function readFields(fields: readonly Buffer[], options: RedisChannelOptions): Open {
  const { bodyField = BODY, keyField, envelope } = options
  const message = blank(null)
  const rest: [string, Buffer][] = []
  const bare = isBare(options)
  let found = false
  for (let index = 0; index < fields.length; index += 2) {
    const name = text(fields[index])
    const value = fields[index + 1] as Buffer
    if (name === keyField && message.key === undefined) {
      message.key = text(value)
      if (envelope === 'fields') rest.push([name, value])
      continue
    }
    const attribute = envelope === 'fields' || (bare && name !== CONTENT_TYPE) ? undefined : ATTRIBUTES.get(name)
    if (name === bodyField && !found && envelope !== 'fields') {
      message.body = value
      found = true
    } else if (attribute !== undefined && message[attribute] === undefined)
      setAttribute(message, attribute, text(value))
    else if (name.startsWith('polybus-')) message.headers.push([name, headerOf(value)])
    else if (bare || name !== VERSION) rest.push([name, value])
  }
  if (found) message.headers.unshift(...rest.map(([name, value]): [string, HeaderValue] => [name, headerOf(value)]))
  else if (rest.length > 0) {
    message.body = Buffer.from(JSON.stringify(Object.fromEntries(rest.map(([name, value]) => [name, text(value)]))))
    message.contentType ??= 'application/json'
  }
  return message
}

/** What an envelope's functions are given. */
function seenOf(
  fields: readonly Buffer[],
  { key, body }: WireMessage,
  { bodyField = BODY }: RedisChannelOptions,
): ForeignMessage {
  const all: [string, Uint8Array][] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = text(fields[index])
    if (name !== bodyField && !name.startsWith('polybus-')) all.push([name, fields[index + 1] as Buffer])
  }
  return {
    headers: Object.fromEntries(all),
    key: key === undefined ? null : Buffer.from(key),
    body: body ?? new Uint8Array(),
  }
}

/** Without an envelope the body, the headers and the content type go; as fields the values of a JSON object alone. */
export function toForeign(
  message: WireMessage,
  { envelope, bodyField = BODY, keyField }: RedisChannelOptions,
): Field[] {
  const { body, key, contentType, headers } = message
  if (body === null) throw refused('a message without a body would be no entry')
  const fields: Field[] = []
  if (envelope === 'fields') fields.push(...valuesOf(body))
  else {
    fields.push(bodyField, asField(body))
    if (contentType !== undefined) fields.push(CONTENT_TYPE, contentType)
  }
  const named = envelope === 'fields' && fields.some((field, index) => index % 2 === 0 && field === keyField)
  if (keyField !== undefined && key !== undefined && !named) fields.push(keyField, key)
  if (envelope !== 'fields') pushHeaders(fields, headers)
  return fields
}

function valuesOf(body: Uint8Array): Field[] {
  const fields: Field[] = []
  let value: unknown
  try {
    value = JSON.parse(bufferOf(body).toString())
  } catch {
    value = undefined
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    for (const [name, each] of Object.entries(value)) {
      if (typeof each !== 'string' && typeof each !== 'number' && typeof each !== 'boolean')
        throw refused(`'${name}' is no text, number or truth value`)
      fields.push(name, String(each))
    }
  if (fields.length === 0) throw refused('the body is no JSON object with at least one value')
  return fields
}

const refused = (why: string): PolybusError =>
  new PolybusError('BROKER_REFUSED', `The envelope of this channel on Redis cannot carry the message: ${why}.`, {
    sent: 'no',
  })
