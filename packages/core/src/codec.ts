import { PolybusError } from './errors.ts'
import { show } from './duration.ts'
import type { MaybePromise } from './idempotency.ts'

/** What a codec is told of a message beside its value or its body. */
export interface CodecContext {
  readonly channel: string
  /** The CloudEvents type; undefined where a foreign producer left it out. */
  readonly type: string | undefined
}

/**
 * Turns values into bodies and back. Either may take its time, to ask a schema registry for one.
 *
 * `decode` throws on anything that `encode` could not have written: the message goes to the dead letters. Where it throws a
 * retryable `PolybusError` instead, consuming pauses, no attempt is counted, and the message is decoded again.
 */
export interface Codec {
  readonly contentType: string
  /** It refuses by itself every value that it could not give back. Others have their first value, and all that is suspicious, read back before it leaves. */
  readonly checked?: boolean | undefined
  encode(value: unknown, about: CodecContext): MaybePromise<Uint8Array>
  decode(body: Uint8Array, about: CodecContext): MaybePromise<unknown>
  /** It reads data of older versions as today's: a channel's `upcast` would get what is new already, and is refused. */
  readonly evolves?: boolean | undefined
  /**
   * Asked when a consumer of the channel starts and by `bus.prepare()`, for each type that the channel knows. What it throws refuses
   * the start; a retryable `PolybusError` has it asked again until `connectTimeout`.
   */
  ready?(about: CodecContext): MaybePromise<void>
}
/** A codec that needs nothing but the value. */
export interface PlainCodec extends Codec {
  encode(value: unknown): Uint8Array
  decode(body: Uint8Array): unknown
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The default: JSON in UTF-8. Bytes that are no UTF-8 are refused, not replaced. */
export const json: PlainCodec = {
  contentType: 'application/json',
  encode(value) {
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) throw new PolybusError('UNSERIALISABLE', `JSON cannot write ${show(value)}.`)
    return Buffer.from(text)
  },
  decode: (body) => JSON.parse(decoder.decode(body)) as unknown,
}

/** Text in UTF-8. */
export const text: PlainCodec = {
  contentType: 'text/plain; charset=utf-8',
  encode(value) {
    if (typeof value !== 'string')
      throw new PolybusError('UNSERIALISABLE', `The text codec writes strings, not ${show(value)}.`)
    // Half a surrogate pair would silently become another character.
    if (/\p{Surrogate}/u.test(value))
      throw new PolybusError('UNSERIALISABLE', 'The text holds half a surrogate pair, which UTF-8 cannot write.')
    return Buffer.from(value)
  },
  decode: (body) => decoder.decode(body),
}

/** Bytes as they are. They are copied both ways, so that nobody changes a message that is on its way. */
export const bytes: PlainCodec = {
  contentType: 'application/octet-stream',
  encode(value) {
    if (!(value instanceof Uint8Array))
      throw new PolybusError('UNSERIALISABLE', `The bytes codec writes a Uint8Array, not ${show(value)}.`)
    return new Uint8Array(value)
  },
  decode: (body) => new Uint8Array(body),
}
