// Messages of other programs, as they lie in the queue: core reads them by their channel's envelope, but for what SNS delivers.
import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs'
import { type HeaderValue, readForeign, type WireMessage } from '@polybus/core'
import type { SqsEnvelope } from './options.ts'

type Header = readonly [string, HeaderValue]
type Attributes = Readonly<Record<string, MessageAttributeValue>>
export const CONTENT_TYPE: RegExp = /^content-?type$/i

/** What our own attribute says is taken into account already. */
export interface ForeignParts {
  /** Without ours. */
  readonly attributes: Attributes
  /** The group id, or that of the message that it is a copy of. */
  readonly key: string | undefined
  readonly body: Buffer | null
}

export function fromForeign(
  native: Message,
  { attributes, key, body }: ForeignParts,
  envelope: SqsEnvelope,
): WireMessage {
  const headers: Header[] = []
  let contentType: string | undefined
  for (const [name, { StringValue, BinaryValue }] of Object.entries(attributes))
    if (contentType === undefined && StringValue !== undefined && CONTENT_TYPE.test(name)) contentType = StringValue
    else headers.push([name, StringValue ?? Buffer.from(BinaryValue ?? [])])
  const plain: WireMessage = {
    id: native.MessageId,
    source: undefined,
    type: undefined,
    time: undefined,
    key,
    headers,
    body,
    contentType,
    dataSchema: undefined,
    correlationId: undefined,
    causationId: undefined,
  }
  if (envelope === 'sns') return fromTopic(plain, native.Body ?? '')
  return readForeign(plain, envelope, () => ({
    headers: Object.fromEntries(
      Object.entries(attributes).map(([name, { StringValue, BinaryValue }]) => [
        name,
        StringValue === undefined ? (BinaryValue ?? new Uint8Array()) : Buffer.from(StringValue),
      ]),
    ),
    key: key === undefined ? null : Buffer.from(key),
    body: body ?? new Uint8Array(),
  }))
}

function jsonIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
const textIn = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const timeIn = (value: unknown): number | undefined => {
  const time = Date.parse(textIn(value) ?? '')
  return Number.isNaN(time) ? undefined : time
}

/**
 * What SNS puts around a message where raw delivery is off. Its own MessageId stays the same where SNS delivers twice. Shape:
 * https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
 */
function fromTopic(plain: WireMessage, text: string): WireMessage {
  const envelope = jsonIn(text)
  if (envelope?.['Type'] !== 'Notification' || typeof envelope['Message'] !== 'string') return plain
  const headers: Header[] = [...plain.headers]
  for (const [name, field] of [
    ['x-amz-sns-topic-arn', 'TopicArn'],
    ['x-amz-sns-subject', 'Subject'],
  ] as const) {
    const value = textIn(envelope[field])
    if (value !== undefined) headers.push([name, value])
  }
  let { contentType } = plain
  for (const [name, attribute] of Object.entries((envelope['MessageAttributes'] ?? {}) as Record<string, unknown>)) {
    const { Type, Value } = (attribute ?? {}) as { readonly Type?: unknown; readonly Value?: unknown }
    const value = textIn(Value)
    if (value === undefined) continue
    if (CONTENT_TYPE.test(name)) contentType = value
    else headers.push([name, Type === 'Binary' ? Buffer.from(value, 'base64') : value])
  }
  return {
    ...plain,
    id: textIn(envelope['MessageId']) ?? plain.id,
    time: timeIn(envelope['Timestamp']),
    headers,
    body: Buffer.from(envelope['Message']),
    contentType,
  }
}
