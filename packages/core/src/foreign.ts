// Messages of programs that know nothing of Polybus: read as CloudEvents in structured mode, as they are, or as functions say.
import { show } from './duration.ts'
import { describeError } from './errors.ts'
import type { WireMessage } from './message.ts'
import { checkKeys, invalid, optionalFunction } from './options.ts'

/** What an envelope's functions are given. */
export interface ForeignMessage {
  readonly headers: Readonly<Record<string, Uint8Array>>
  readonly key: Uint8Array | null
  readonly body: Uint8Array
}

/** Each says one thing of a foreign message; what is left out, or answers undefined, stays as the broker has it. */
export interface EnvelopeFunctions<M = ForeignMessage> {
  readonly id?: ((message: M) => string | undefined) | undefined
  readonly key?: ((message: M) => string | undefined) | undefined
  readonly type?: ((message: M) => string | undefined) | undefined
  readonly body?: ((message: M) => Uint8Array) | undefined
}

/** How a channel's foreign messages are read; `none` also writes ours without attributes, for readers that want none. */
export type Envelope<M = ForeignMessage> = 'cloudevents' | 'none' | EnvelopeFunctions<M>

/**
 * A foreign message by its channel's envelope. For adapters.
 *
 * @param message as the adapter's mapping reads it: body, key and headers, attributes where the protocol has them.
 * @param seen what the functions are given; asked for only where there are functions.
 */
export function readForeign<M>(message: WireMessage, envelope: Envelope<M>, seen: () => M): WireMessage {
  if (envelope === 'none') return message
  if (envelope === 'cloudevents') return fromStructured(message)
  const given = seen()
  const failures: [string, string][] = []
  const told = <T>(field: keyof typeof envelope, run: ((message: M) => T) | undefined): T | undefined => {
    try {
      return run?.(given)
    } catch (error) {
      // It must not hold up the channel, nor go unseen: who looks at the dead letter finds it.
      failures.push([`envelope-error-${field}`, describeError(error).message])
      return undefined
    }
  }
  return {
    ...message,
    id: notEmpty(told('id', envelope.id)) ?? message.id,
    key: told('key', envelope.key) ?? message.key,
    type: told('type', envelope.type) ?? message.type,
    body: told('body', envelope.body) ?? message.body,
    headers: [...message.headers, ...failures],
  }
}

/** @param more what this adapter takes besides. */
export function checkEnvelope(value: unknown, field: string, more: readonly string[] = []): void {
  const named = ['cloudevents', 'none', ...more]
  if (value === undefined || (typeof value === 'string' && named.includes(value))) return
  if (typeof value !== 'object' || value === null)
    throw invalid(
      field,
      `expected ${named.map((name) => `'${name}'`).join(', ')} or an object of functions, got ${show(value)}.`,
    )
  checkKeys(value, ['id', 'key', 'type', 'body'], field)
  for (const [key, run] of Object.entries(value)) optionalFunction(run, `${field}.${key}`)
}

type Event = Readonly<Record<string, unknown>>
const STRUCTURED = /^application\/cloudevents\+json\b/i
/** What has a place of its own in a message; the rest are extensions, which become headers. */
const PLACED = new Set([
  'specversion',
  'id',
  'source',
  'type',
  'time',
  'partitionkey',
  'datacontenttype',
  'dataschema',
  'correlationid',
  'causationid',
  'data',
  'data_base64',
])

/** An empty id would make one message of all that have it. */
const notEmpty = (id: string | undefined): string | undefined => (id === '' ? undefined : id)

/**
 * The message that a CloudEvents document holds; the same message where it is none, or one that cannot be read.
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */
function fromStructured(message: WireMessage): WireMessage {
  const { body, contentType = '' } = message
  const event = body === null || !STRUCTURED.test(contentType) ? undefined : parse(body)
  if (event?.['specversion'] !== '1.0') return message
  const text = (name: string): string | undefined => (typeof event[name] === 'string' ? event[name] : undefined)
  const time = Date.parse(text('time') ?? '')
  const extensions = Object.entries(event)
    .filter(([name, value]) => !PLACED.has(name) && !name.startsWith('polybus') && value !== null)
    .map(([name, value]): [string, string] => [name, typeof value === 'string' ? value : JSON.stringify(value)])
  return {
    id: notEmpty(text('id')) ?? message.id,
    source: text('source'),
    type: text('type') ?? message.type,
    time: Number.isNaN(time) ? message.time : time,
    key: text('partitionkey') ?? message.key,
    headers: [...message.headers, ...extensions],
    body: dataOf(event),
    contentType: text('datacontenttype') ?? 'application/json',
    dataSchema: text('dataschema'),
    correlationId: text('correlationid') ?? message.correlationId,
    causationId: text('causationid'),
  }
}

function dataOf({ data, data_base64: base64, datacontenttype: type }: Event): Uint8Array | null {
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64')
  if (data === undefined) return null
  // A text is the data itself, unless its type says JSON.
  const plain = typeof data === 'string' && typeof type === 'string' && !/[/+]json\b/i.test(type)
  return Buffer.from(plain ? data : JSON.stringify(data))
}

function parse(body: Uint8Array): Event | undefined {
  try {
    const event: unknown = JSON.parse(Buffer.from(body).toString())
    return typeof event === 'object' && event !== null ? (event as Event) : undefined
  } catch {
    return undefined
  }
}
