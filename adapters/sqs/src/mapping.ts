// Wire and native forms, pure. The body is the plain payload, CloudEvents attributes are message attributes `ce_…` as on the
// other brokers, and what has no place there (headers, and all that SQS cannot carry) travels as JSON in the attribute `polybus`.
import { isUtf8 } from 'node:buffer'
import type { Message, MessageAttributeValue, MessageSystemAttributeValue } from '@aws-sdk/client-sqs'
import type { Headers, HeaderValue, WireMessage } from '@polybus/core'
import { CONTENT_TYPE, fromForeign } from './foreign.ts'
import type { SqsChannelOptions } from './options.ts'
import { ATTRIBUTE, type Other, pack, type Packed, type PackedHeader, unpack } from './packed.ts'

/** What an entry of SendMessageBatch carries, whatever queue it goes to. */
export interface Content {
  readonly MessageBody: string
  readonly MessageAttributes: Readonly<Record<string, MessageAttributeValue>>
  /** X-Ray's header of a message that is copied. */
  readonly MessageSystemAttributes?: Readonly<Record<'AWSTraceHeader', MessageSystemAttributeValue>>
}

const VERSION = 'ce_specversion'
/** In attributes of their own: nine at most, `polybus` and the version with them. */
const SHOWN = {
  ce_id: 'id',
  ce_source: 'source',
  ce_type: 'type',
  ce_partitionkey: 'key',
  ce_dataschema: 'dataSchema',
  'content-type': 'contentType',
} as const
const SHOWN_NAMES = Object.keys(SHOWN) as (keyof typeof SHOWN)[]
const PACKED = ['correlationId', 'causationId'] as const
const MOST_ATTRIBUTES = 10
/** SQS takes no body without a character. */
const NO_BODY = '-'
/** What SQS refuses: it takes the characters of XML 1.0. */
const INVALID = /[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u
/** Names of attributes, as far as SQS allows and nobody else uses them. */
const NAME = /^(?!aws\.|amazon\.|ce_|polybus)(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}[A-Za-z0-9_-]$/i
const fits = (text: string): boolean => text !== '' && !INVALID.test(text)

type Attributes = Record<string, MessageAttributeValue>
const textOf = (value: string): MessageAttributeValue => ({ DataType: 'String', StringValue: value })

/**
 * The native form of a message.
 *
 * @param order Of messages that are sent one after the other; tells dead letters apart that came within one millisecond.
 */
export function toEntry(message: WireMessage, options: SqsChannelOptions = {}, order?: number): Content {
  // What has headers of core's is a copy, and keeps what it has.
  if (options.envelope === 'none' && !message.headers.some(([name]) => name.startsWith('polybus-')))
    return toBare(message)
  const { MessageBody, body } = bodyOf(message.body)
  const attributes: Record<string, string> = {}
  const MessageAttributes: Attributes = { [VERSION]: textOf('1.0') }
  for (const name of SHOWN_NAMES) {
    const value = message[SHOWN[name]]
    if (value === undefined) continue
    if (fits(value)) MessageAttributes[name] = textOf(value)
    else attributes[SHOWN[name]] = value
  }
  if (message.time !== undefined) MessageAttributes['ce_time'] = textOf(new Date(message.time).toISOString())
  for (const name of PACKED) {
    const value = message[name]
    if (value !== undefined) attributes[name] = value
  }
  const packed = pack({ own: 1, body, attributes, headers: message.headers.map(packHeader), order })
  if (packed !== undefined) MessageAttributes[ATTRIBUTE] = textOf(packed)
  return { MessageBody, MessageAttributes }
}

/** As other programs write messages. Ours holds what SQS has no place for, and the key: a group id is only its hash. */
function toBare({ body: bytes, contentType, key, headers }: WireMessage): Content {
  const { MessageBody, body } = bodyOf(bytes)
  const MessageAttributes: Attributes = {}
  if (contentType !== undefined && fits(contentType)) MessageAttributes['content-type'] = textOf(contentType)
  const rest: Headers[number][] = []
  for (const header of headers) {
    const [name, value] = header
    const room = Object.keys(MessageAttributes).length < MOST_ATTRIBUTES - 1
    if (!room || !NAME.test(name) || Object.hasOwn(MessageAttributes, name) || CONTENT_TYPE.test(name))
      rest.push(header)
    else if (typeof value !== 'string') MessageAttributes[name] = { DataType: 'Binary', BinaryValue: value }
    else if (fits(value)) MessageAttributes[name] = textOf(value)
    else rest.push(header)
  }
  const packed = pack({ body, attributes: key === undefined ? {} : { key }, headers: rest.map(packHeader) })
  if (packed !== undefined) MessageAttributes[ATTRIBUTE] = textOf(packed)
  return { MessageBody, MessageAttributes }
}

function bodyOf(bytes: Uint8Array | null): { MessageBody: string; body: Packed['body'] } {
  if (bytes === null) return { MessageBody: NO_BODY, body: 'null' }
  if (bytes.byteLength === 0) return { MessageBody: NO_BODY, body: 'empty' }
  const buffer = bufferOf(bytes)
  const text = isUtf8(buffer) ? buffer.toString() : undefined
  return text !== undefined && fits(text)
    ? { MessageBody: text, body: undefined }
    : { MessageBody: buffer.toString('base64'), body: 'base64' }
}

const bufferOf = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
const packHeader = ([name, value]: Headers[number]): PackedHeader =>
  typeof value === 'string' ? [name, value] : [name, bufferOf(value).toString('base64'), 1]
const unpackHeader = ([name, value, binary]: PackedHeader): [string, HeaderValue] => [
  name,
  binary === 1 ? Buffer.from(value, 'base64') : value,
]

/** The message as it came. What is not ours is read by the options of its channel; its id is its MessageId, its key the group id. */
export function fromMessage(native: Message, options: SqsChannelOptions = {}): WireMessage {
  const others: Attributes = { ...native.MessageAttributes }
  const packed = unpack(others[ATTRIBUTE]?.StringValue)
  if (packed) delete others[ATTRIBUTE]
  for (const other of packed?.others ?? []) others[other[0]] = fromOther(other)
  const { headers = [], attributes = {}, body } = packed ?? {}
  const mine = headers.map(unpackHeader)
  const { envelope = 'cloudevents' } = options
  const own = packed?.own === 1
  if (!own && (others[VERSION]?.StringValue === undefined || envelope === 'none')) {
    // A copy of it has another group id, and keeps the key.
    const foreign = fromForeign(
      native,
      {
        attributes: others,
        key: attributes.key ?? native.Attributes?.MessageGroupId,
        body: bytesIn(native.Body ?? '', body),
      },
      envelope,
    )
    return { ...foreign, headers: [...foreign.headers, ...mine] }
  }
  const shown = (name: string): string | undefined => {
    const value = others[name]?.StringValue
    delete others[name]
    return value
  }
  shown(VERSION)
  const time = Date.parse(shown('ce_time') ?? '')
  const [id, source, type, key, dataSchema, contentType] = SHOWN_NAMES.map(
    (name) => shown(name) ?? attributes[SHOWN[name]],
  )
  return {
    id: id ?? native.MessageId,
    source,
    type,
    time: Number.isNaN(time) ? undefined : time,
    key: key ?? (own ? undefined : native.Attributes?.MessageGroupId),
    headers: [...headersOf(others), ...mine],
    body: bytesIn(native.Body ?? '', body),
    contentType,
    dataSchema,
    correlationId: attributes.correlationId,
    causationId: attributes.causationId,
  }
}

/** Other programs may say in our attribute how their body travels, too. */
function bytesIn(text: string, body: Packed['body']): Buffer | null {
  if (body === 'null' && text === NO_BODY) return null
  if (body === 'empty' && text === NO_BODY) return Buffer.alloc(0)
  return Buffer.from(text, body === 'base64' ? 'base64' : 'utf8')
}

/** Attributes of other programs, each a header. */
export const headersOf = (attributes: Readonly<Attributes>): [string, HeaderValue][] =>
  Object.entries(attributes).map(([name, { StringValue, BinaryValue }]) => [
    name,
    StringValue ?? bufferOf(BinaryValue ?? new Uint8Array()),
  ])

/**
 * A copy of what came, byte for byte, whose `polybus-*` headers are exactly these. What another program wrote keeps its
 * attributes; where they are too many with ours, ours holds them.
 */
export function copyOf(native: Message, given: Headers, order?: number): Content {
  const { [ATTRIBUTE]: own, ...others }: Attributes = native.MessageAttributes ?? {}
  const before = unpack(own?.StringValue)
  const kept = (before?.headers ?? []).filter(([name]) => !name.startsWith('polybus-'))
  const hidden = [...(before?.others ?? [])]
  // Somebody else's, of the same name.
  if (own && !before) hidden.push(toOther([ATTRIBUTE, own]))
  if (Object.keys(others).length >= MOST_ATTRIBUTES) {
    hidden.push(...Object.entries(others).map(toOther))
    for (const name of Object.keys(others)) delete others[name]
  }
  // Its own is another one, or none.
  const key = native.Attributes?.MessageGroupId
  const packed = pack({
    own: before?.own,
    body: before?.body,
    attributes: before?.own || key === undefined ? before?.attributes : { key, ...before?.attributes },
    headers: [...kept, ...given.map(packHeader)],
    others: hidden,
    order,
  })
  if (packed !== undefined) others[ATTRIBUTE] = textOf(packed)
  const trace = native.Attributes?.AWSTraceHeader
  return {
    MessageBody: native.Body ?? '',
    MessageAttributes: others,
    ...(trace !== undefined && {
      MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: trace } },
    }),
  }
}

function toOther([name, { DataType = 'String', StringValue, BinaryValue }]: [string, MessageAttributeValue]): Other {
  return StringValue === undefined
    ? [name, DataType, bufferOf(BinaryValue ?? new Uint8Array()).toString('base64'), 1]
    : [name, DataType, StringValue]
}
const fromOther = ([, DataType, value, binary]: Other): MessageAttributeValue =>
  binary === 1 ? { DataType, BinaryValue: Buffer.from(value, 'base64') } : { DataType, StringValue: value }

/** When it came to the queue, and its place within that millisecond: what dead letters are sorted by. */
export function ageOf(native: Message): readonly [sentAt: number, order: number] {
  const order = unpack(native.MessageAttributes?.[ATTRIBUTE]?.StringValue)?.order
  return [Number(native.Attributes?.SentTimestamp ?? 0), order ?? 0]
}

/** Bytes as AWS counts them: body, and names, types and values of attributes. */
export function bytesOf({ MessageBody, MessageAttributes }: Content): number {
  let bytes = Buffer.byteLength(MessageBody)
  for (const [name, { DataType = '', StringValue = '', BinaryValue }] of Object.entries(MessageAttributes))
    bytes += Buffer.byteLength(name) + DataType.length + Buffer.byteLength(StringValue) + (BinaryValue?.byteLength ?? 0)
  return bytes
}

/** Bytes of a message on its way to SQS: base64 makes binary bodies and headers a third larger. */
export const size = (message: WireMessage): number => bytesOf(toEntry(message))
