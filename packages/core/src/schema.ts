// Standard Schema at work: validation, and what the schema and the codec do to a value between them.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { MaybePromise } from './idempotency.ts'
import type { Schema } from './channel.ts'

export type Validated = StandardSchemaV1.Result<unknown>

export const validate = (schema: Schema, value: unknown): MaybePromise<Validated> => schema['~standard'].validate(value)

/** The issues in a line: the first three with their paths. */
export function describeIssues(issues: readonly StandardSchemaV1.Issue[]): string {
  const texts = issues.slice(0, 3).map(({ path, message }) => {
    const where = (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    return where === '' ? message : `${where}: ${message}`
  })
  return texts.join('; ') + (issues.length > 3 ? `; and ${issues.length - 3} more` : '')
}

/** `extra`: the schema dropped keys; `exotic`: something that JSON would write as something else. */
export interface Findings {
  extra: boolean
  exotic: boolean
  /** Deeper than anybody looks, or in a circle: the walk has ended. */
  deep?: boolean
}

const MAX_DEPTH = 1000

const isPlain = (value: object): value is Record<string, unknown> => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** One walk over a published value beside what the schema made of it. */
export function inspect(input: unknown, output: unknown, findings: Findings, depth = 0): void {
  switch (typeof input) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (!Number.isFinite(input)) findings.exotic = true
      return
    case 'undefined':
      return
    case 'object':
      break
    default:
      findings.exotic = true
      return
  }
  if (input === null || findings.deep) return
  if (depth > MAX_DEPTH) {
    findings.exotic = findings.deep = true
    return
  }
  if (Array.isArray(input)) {
    const other = Array.isArray(output) && output.length === input.length ? (output as unknown[]) : input
    for (let index = 0; index < input.length; index++) {
      if (input[index] === undefined) findings.exotic = true
      inspect(input[index], other[index], findings, depth + 1)
    }
    return
  }
  if (!isPlain(input)) {
    findings.exotic = true
    return
  }
  const other = typeof output === 'object' && output !== null && isPlain(output) ? output : input
  for (const key in input) {
    if (other !== input && !(key in other) && input[key] !== undefined) findings.extra = true
    inspect(input[key], other[key], findings, depth + 1)
  }
}

/** `input` without the keys that `output` does not have. */
export function strip(input: unknown, output: unknown): unknown {
  if (typeof input !== 'object' || input === null || typeof output !== 'object' || output === null || input === output)
    return input
  if (Array.isArray(input))
    return Array.isArray(output) && input.length === output.length
      ? input.map((item, index) => strip(item, output[index]))
      : input
  if (!isPlain(input) || !isPlain(output)) return input
  const kept: Record<string, unknown> = {}
  for (const key of Object.keys(input)) if (key in output) kept[key] = strip(input[key], output[key])
  return kept
}

const tag = (value: unknown): string => Object.prototype.toString.call(value)

/** Equal as data: a missing key and an undefined one are the same, a Date and its text are not. */
export function sameData(a: unknown, b: unknown, depth = 0): boolean {
  if (Object.is(a, b) || (a === 0 && b === 0)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || depth > MAX_DEPTH) return false
  const kind = tag(a)
  if (kind !== tag(b)) return false
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime()
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b))
    return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))
  if (a instanceof Map && b instanceof Map) return sameData([...a], [...b], depth + 1)
  if (a instanceof Set && b instanceof Set) return sameData([...a], [...b], depth + 1)
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => sameData(item, b[index], depth + 1))
  if (kind !== '[object Object]') return false
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>]
  return (
    Object.keys(left).every((key) => sameData(left[key], right[key], depth + 1)) &&
    Object.keys(right).every((key) => right[key] === undefined || key in left)
  )
}
