// First stage: bytes to a value. What cannot be read is told apart from what the schema refuses, and from what cannot be read now.
import type { ChannelDefinition } from '../channel.ts'
import type { CodecContext } from '../codec.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { MaybePromise } from '../idempotency.ts'
import { isPromise } from '../maybe.ts'
import type { WireMessage } from '../message.ts'
import { describeIssues, validate, type Validated } from '../schema.ts'
import { upcasted, versionOf } from '../versions.ts'
import { type AttemptResult, DONE } from './decide.ts'

export type Decoded =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly result: AttemptResult }
export type Decode = (message: WireMessage) => MaybePromise<Decoded>

/** What becomes of a message whose type the channel does not know: `handle` gives it to the handler of `'*'`, unchecked. */
export type UnknownTypes = 'dead-letter' | 'ignore' | 'handle'

const IGNORED: Decoded = { ok: false, result: DONE }

export function createDecode(channel: ChannelDefinition, unknownTypes: UnknownTypes = 'dead-letter'): Decode {
  const { codec, schema, spec, variants, known, version = 1, upcasts } = channel
  const refuse = (reason: 'undecodable' | 'invalid', text: string, cause?: unknown): Decoded => ({
    ok: false,
    result: {
      kind: 'refused',
      reason,
      error: new PolybusError('DECODE_FAILED', `Channel '${spec.name}': ${text}`, { cause }),
    },
  })
  /** A registry is away, say: the message says nothing about it. */
  const away = (error: unknown): Decoded | undefined =>
    PolybusError.is(error) && error.retryable ? { ok: false, result: { kind: 'unavailable', error } } : undefined
  const undecodable = (error: unknown): Decoded =>
    away(error) ??
    refuse('undecodable', `${codec.contentType} cannot read the body: ${describeError(error).message}`, error)

  const judge = (result: Validated, from: number): Decoded => {
    if (!result.issues) return { ok: true, value: result.value }
    const newer = from > version ? ` It is of version ${from}, and this channel knows them up to ${version}.` : ''
    return refuse('invalid', `the schema refuses the message: ${describeIssues(result.issues)}.${newer}`)
  }
  const isUnknown = (type: unknown): boolean => variants && !known.has(type as string)
  const read = (message: WireMessage, from: number, data: unknown): MaybePromise<Decoded> => {
    let value: unknown = variants ? { type: message.type, data } : data
    try {
      if (from < version) value = upcasted(value, from, version, upcasts)
    } catch (error) {
      return refuse('invalid', `${describeError(error).message}.`, error)
    }
    if (unknownTypes !== 'dead-letter' && isUnknown((value as { type?: unknown } | null)?.type))
      return unknownTypes === 'ignore' ? IGNORED : { ok: true, value }
    const failed = (error: unknown): Decoded =>
      away(error) ?? refuse('invalid', `the schema threw: ${describeError(error).message}`, error)
    try {
      const result = validate(schema, value)
      return isPromise(result) ? result.then((settled) => judge(settled, from), failed) : judge(result, from)
    } catch (error) {
      return failed(error)
    }
  }

  let about: CodecContext = { channel: spec.name, type: undefined }
  return (message) => {
    if (message.type !== about.type) about = { channel: spec.name, type: message.type }
    const from = versionOf(message.dataSchema)
    // One of an older version may still become another type.
    if (unknownTypes === 'ignore' && from >= version && isUnknown(message.type)) return IGNORED
    let data: unknown
    try {
      data = message.body === null ? null : codec.decode(message.body, about)
    } catch (error) {
      return undecodable(error)
    }
    if (isPromise(data)) return data.then((settled) => read(message, from, settled), undecodable)
    return read(message, from, data)
  }
}
