// First stage: bytes to a value. What cannot be read is told apart from what the schema refuses.
import type { ChannelDefinition } from '../channel.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { MaybePromise } from '../idempotency.ts'
import type { WireMessage } from '../message.ts'
import { describeIssues, isPromise, validate, type Validated } from '../schema.ts'

export type Decoded =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: 'undecodable' | 'invalid'; readonly error: PolybusError }
export type Decode = (message: WireMessage) => MaybePromise<Decoded>

export function createDecode({ codec, schema, spec, variants }: ChannelDefinition): Decode {
  const refuse = (reason: 'undecodable' | 'invalid', text: string, cause?: unknown): Decoded => ({
    ok: false,
    reason,
    error: new PolybusError('DECODE_FAILED', `Channel '${spec.name}': ${text}`, { cause }),
  })
  const judge = (result: Validated): Decoded =>
    result.issues
      ? refuse('invalid', `the schema refuses the message: ${describeIssues(result.issues)}.`)
      : { ok: true, value: result.value }
  const failed = (error: unknown): Decoded =>
    refuse('invalid', `the schema threw: ${describeError(error).message}`, error)

  return (message) => {
    let data: unknown
    try {
      data = message.body === null ? null : codec.decode(message.body)
    } catch (error) {
      return refuse('undecodable', `${codec.contentType} cannot read the body: ${describeError(error).message}`, error)
    }
    try {
      const result = validate(schema, variants ? { type: message.type, data } : data)
      return isPromise(result) ? result.then(judge, failed) : judge(result)
    } catch (error) {
      return failed(error)
    }
  }
}
