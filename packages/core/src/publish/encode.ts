// From a value to a body: validate, strip what the schema strips, encode, and prove that it can be read back.
import type { ChannelDefinition } from '../channel.ts'
import { type CodecContext, json } from '../codec.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { MaybePromise } from '../idempotency.ts'
import { after, isPromise } from '../maybe.ts'
import { describeIssues, type Findings, inspect, sameData, strip, validate, type Validated } from '../schema.ts'

/** Null, which a codec never sees, is a message without a body: on a compacted topic it takes its key away. */
export type Body = Uint8Array | null
export type Encode = (value: unknown, type: string) => MaybePromise<Body>

/**
 * The wire carries the encoded input, never the output: encoding the output would transform twice. The first value of a
 * channel, and every one that JSON might write as something else, is decoded again before it leaves.
 */
export function createEncode(channel: ChannelDefinition): Encode {
  const { schema, codec, variants, spec } = channel
  let proven = false
  const findings: Findings = { extra: false, exotic: false }

  const threw = (error: unknown): never => {
    if (PolybusError.is(error)) throw error
    const text = `Channel '${spec.name}': the schema threw instead of answering: ${describeError(error).message}. Mend the schema.`
    throw new PolybusError('INVALID_MESSAGE', text, { cause: error, sent: 'no' })
  }
  const validated = (value: unknown): MaybePromise<Validated> => {
    try {
      const result = validate(schema, value)
      return isPromise(result) ? result.then(undefined, threw) : result
    } catch (error) {
      return threw(error)
    }
  }
  const accept = (result: Validated): unknown => {
    if (result.issues)
      throw new PolybusError(
        'INVALID_MESSAGE',
        `Channel '${spec.name}' refuses the value: ${describeIssues(result.issues)}.`,
        { sent: 'no' },
      )
    return result.value
  }
  const encode = (value: unknown, about: CodecContext): MaybePromise<Body> => {
    const failed = (error: unknown): never => {
      // A registry that is away, say, or a schema that is missing there: the codec knows best.
      if (PolybusError.is(error) && error.code !== 'UNSERIALISABLE')
        throw new PolybusError(error.code, `Channel '${spec.name}': ${error.message}`, {
          cause: error,
          sent: 'no',
          retryable: error.retryable,
        })
      if (holdsBigint(value)) throw notReversible(spec.name, 'it holds a bigint', error)
      throw new PolybusError(
        'UNSERIALISABLE',
        `Channel '${spec.name}': ${codec.contentType} cannot write the value: ${describeError(error).message}. Publish plain data, or give the channel a codec that can write it.`,
        { cause: error, sent: 'no' },
      )
    }
    try {
      const data = variants ? (value as { data: unknown }).data : value
      if (data === null) return null
      const body = codec.encode(data, about)
      return isPromise(body) ? body.catch(failed) : body
    } catch (error) {
      return failed(error)
    }
  }
  const readBack = (body: Body, about: CodecContext): MaybePromise<unknown> => {
    const failed = (error: unknown): never => {
      throw notReversible(spec.name, `the codec cannot read its own bytes (${describeError(error).message})`, error)
    }
    try {
      const data = body === null ? null : codec.decode(body, about)
      return isPromise(data) ? data.catch(failed) : data
    } catch (error) {
      return failed(error)
    }
  }
  const prove = (value: unknown, output: unknown, body: Body, data: unknown): MaybePromise<Body> => {
    const decoded = variants ? { type: (value as { type: string }).type, data } : data
    const check = (result: Validated): Body => {
      if (result.issues)
        throw notReversible(spec.name, `read back, the schema refuses it (${describeIssues(result.issues)})`)
      if (!sameData(decoded, value) && !sameData(result.value, output))
        throw notReversible(spec.name, 'read back, it is another value (a Date, Map or NaN, say)')
      // Of the codec it says nothing.
      if (body !== null) proven = true
      return body
    }
    return after(validated(decoded), check)
  }
  const encodeProven = (value: unknown, output: unknown, about: CodecContext, exotic: boolean): MaybePromise<Body> => {
    const finish = (body: Body): MaybePromise<Body> =>
      codec.checked || (proven && !exotic)
        ? body
        : after(readBack(body, about), (data) => prove(value, output, body, data))
    return after(encode(value, about), finish)
  }
  const encodeValidated = (value: unknown, output: unknown, about: CodecContext): MaybePromise<Body> => {
    findings.extra = findings.exotic = findings.deep = false
    inspect(value, output, findings)
    const exotic = findings.exotic && codec === json
    if (findings.extra) {
      const stripped = strip(value, output)
      // A transform may need the very keys that its result lacks: then the value goes as it is.
      return after(validated(stripped), (result) => {
        const kept = !result.issues && sameData(result.value, output) ? stripped : value
        return encodeProven(kept, output, about, exotic)
      })
    }
    return encodeProven(value, output, about, exotic)
  }

  /** Whatever a value does when it is looked at (getters, proxies, depth) is an error of the value. */
  const typed = (error: unknown): never => {
    if (PolybusError.is(error)) throw error
    const text = `Channel '${spec.name}': the value cannot be read: ${describeError(error).message}. Publish plain data.`
    throw new PolybusError('UNSERIALISABLE', text, { cause: error, sent: 'no' })
  }

  return (value, type) => {
    try {
      const about = { channel: spec.name, type }
      const body = after(validated(value), (result) => encodeValidated(value, accept(result), about))
      return isPromise(body) ? body.catch(typed) : body
    } catch (error) {
      return typed(error)
    }
  }
}

const notReversible = (channel: string, why: string, cause?: unknown): PolybusError =>
  new PolybusError(
    'SCHEMA_NOT_REVERSIBLE',
    `Channel '${channel}' cannot carry the value: ${why}. Publish what survives the codec (an ISO text for a Date, a string for a bigint), let the schema turn it into the rich type, or give the channel a codec that can write it.`,
    { cause, sent: 'no' },
  )

function holdsBigint(value: unknown, seen = new Set<object>()): boolean {
  if (typeof value === 'bigint') return true
  if (typeof value !== 'object' || value === null || seen.has(value) || seen.size > 10_000) return false
  seen.add(value)
  return Object.values(value).some((item) => holdsBigint(item, seen))
}
