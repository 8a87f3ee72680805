// Checks of users' options: each error names the field and says what would be right.
import { type Duration, milliseconds, show } from './duration.ts'
import { PolybusError } from './errors.ts'

export const invalid = (field: string, text: string): PolybusError =>
  new PolybusError('INVALID_OPTION', `${field}: ${text}`)

/** Refuses unknown keys, with the known one that is nearest. */
export function checkKeys(options: object, known: readonly string[], where: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw invalid(where, `expected an object, got ${show(options)}.`)
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const near = nearest(key, known)
    throw invalid(
      `${where}.${key}`,
      `unknown option.${near ? ` Did you mean '${near}'?` : ''} Known: ${known.join(', ')}.`,
    )
  }
}

export function nearest(word: string, known: readonly string[]): string | undefined {
  const close = known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0]
  return close && close.distance <= Math.max(2, word.length / 3) ? close.candidate : undefined
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length] ?? 0
}

export function optionalInteger(
  value: unknown,
  field: string,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  if (value === undefined) return undefined
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max)
    throw invalid(
      field,
      `expected a whole number from ${min}${max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`}, got ${show(value)}.`,
    )
  return value as number
}

export function optionalDuration(value: Duration | undefined, field: string, minMs = 0): number | undefined {
  if (value === undefined) return undefined
  const ms = milliseconds(value, field)
  if (ms < minMs) throw invalid(field, `must be at least ${minMs} ms, got ${show(value)}.`)
  return ms
}

export function optionalChoice<T extends string>(
  value: T | undefined,
  field: string,
  choices: readonly T[],
): T | undefined {
  if (value !== undefined && !choices.includes(value))
    throw invalid(field, `expected ${choices.map((choice) => `'${choice}'`).join(' or ')}, got ${show(value)}.`)
  return value
}

/** A list of choices; empty where it is left out. */
export function optionalChoices<T extends string>(
  values: readonly T[] | undefined,
  field: string,
  choices: readonly T[],
): readonly T[] {
  if (values === undefined) return []
  if (!Array.isArray(values)) throw invalid(field, `expected a list, got ${show(values)}.`)
  for (const value of values)
    if (!choices.includes(value)) throw invalid(field, `expected entries of ${choices.join(', ')}, got ${show(value)}.`)
  return values
}

export function optionalFunction<T>(value: T | undefined, field: string): T | undefined {
  if (value !== undefined && typeof value !== 'function')
    throw invalid(field, `expected a function, got ${show(value)}.`)
  return value
}

export function optionalBoolean(value: boolean | undefined, field: string): boolean | undefined {
  if (value !== undefined && typeof value !== 'boolean')
    throw invalid(field, `expected true or false, got ${show(value)}.`)
  return value
}

const NAME = /^[a-z0-9]+(?:[-_][a-z0-9]+)*$/

/** Channels, groups and namespaces: `.`, `:` and `--` stay free as separators on every broker. */
export function checkName(value: unknown, field: string): void {
  if (typeof value === 'string' && value.length <= 32 && NAME.test(value)) return
  throw invalid(
    field,
    `${show(value)} is no name. Use lower-case words and digits joined by single hyphens or underscores, at most 32 characters, such as 'order-events'.`,
  )
}
