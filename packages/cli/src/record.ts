// A dead letter as a line of JSON: all that it takes to put it back, byte for byte.
import type { DeadLetter, HeaderValue, WireMessage } from '@polybus/core'
import { UsageError } from './command.ts'

type Bytes = string | { readonly base64: string }

export interface LetterRecord {
  readonly id: string
  readonly channel: string
  readonly group: string
  readonly reason: string
  readonly error: { readonly name: string; readonly message: string }
  readonly attempts: number
  readonly firstFailedAt: string
  readonly lastFailedAt: string
  readonly message: {
    readonly id?: string | undefined
    readonly source?: string | undefined
    readonly type?: string | undefined
    readonly time?: string | number | undefined
    readonly key?: string | undefined
    readonly contentType?: string | undefined
    readonly dataSchema?: string | undefined
    readonly correlationId?: string | undefined
    readonly causationId?: string | undefined
    readonly headers: readonly (readonly [string, Bytes])[]
    readonly body: Bytes | null
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text where these bytes are that, in UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
export const toBytes = (bytes: Uint8Array): Bytes =>
  textOf(bytes) ?? { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }

export function toRecord(letter: DeadLetter<unknown>, channel: string, group: string): LetterRecord {
  const { headers, body, time, ...attributes } = letter.wire
  return {
    id: letter.id,
    channel,
    group,
    reason: letter.reason,
    error: letter.error,
    attempts: letter.attempts,
    firstFailedAt: letter.firstFailedAt.toISOString(),
    lastFailedAt: letter.lastFailedAt.toISOString(),
    message: {
      ...attributes,
      time: time === undefined ? undefined : timeText(time),
      // A header's bytes stay bytes, also where they would be text.
      headers: headers.map(([name, value]) => [name, typeof value === 'string' ? value : base64(value)]),
      body: body && toBytes(body),
    },
  }
}

const base64 = (bytes: Uint8Array): Bytes => ({ base64: Buffer.from(bytes).toString('base64') })
const timeText = (time: number): string | number => {
  const text = Number.isInteger(time) && Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : undefined
  return text !== undefined && Date.parse(text) === time ? text : time
}

const TEXTS = ['id', 'source', 'type', 'key', 'contentType', 'dataSchema', 'correlationId', 'causationId'] as const

/** @throws {UsageError} saying what is wrong with it. */
export function fromRecord(record: unknown): {
  readonly channel: unknown
  readonly group: unknown
  readonly message: WireMessage
} {
  const { channel, group, message } = fields(record, 'the line')
  const { headers, body, time, ...rest } = fields(message, 'message')
  const texts = Object.fromEntries(TEXTS.map((name) => [name, optionalText(rest[name], `message.${name}`)])) as Record<
    (typeof TEXTS)[number],
    string | undefined
  >
  if (!Array.isArray(headers)) throw new UsageError('message.headers is no list')
  return {
    channel,
    group,
    message: {
      ...texts,
      time: readTime(time),
      headers: headers.map(readHeader),
      body: body === null ? null : bytesOf(body),
    },
  }
}

function fields(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UsageError(`${where} is no object`)
  return value as Record<string, unknown>
}

function optionalText(value: unknown, where: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw new UsageError(`${where} is no text`)
}

function readTime(value: unknown): number | undefined {
  if (value === undefined) return undefined
  const time = typeof value === 'string' ? Date.parse(value) : value
  if (typeof time !== 'number' || !(Math.abs(time) <= 8.64e15)) throw new UsageError('message.time is no time')
  return time
}

function readHeader(header: unknown): readonly [string, HeaderValue] {
  const [name, value] = Array.isArray(header) ? (header as unknown[]) : []
  if (typeof name !== 'string') throw new UsageError('a header is no pair of name and value')
  return [name, typeof value === 'string' ? value : bytesOf(value)]
}

function bytesOf(value: unknown): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value)
  const { base64 } = fields(value, 'a body or header')
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64) || base64.length % 4 !== 0)
    throw new UsageError('a body or header is neither text nor base64')
  return Buffer.from(base64, 'base64')
}
