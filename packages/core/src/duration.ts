import { PolybusError, redact } from './errors.ts'

/** A length of time with its unit, such as `'200ms'`, `'30s'`, `'1m'`, `'12h'`, `'7d'`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** 100 years. */
const LONGEST_MS = 36_525 * 86_400_000
const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Checks a text, from an environment variable say, and returns it as a {@link Duration}.
 *
 * @throws {PolybusError} `INVALID_OPTION` where it is no number with a unit.
 * @example
 * const grace = duration(process.env['GRACE'] ?? '20s')
 */
export function duration(text: string): Duration {
  milliseconds(text as Duration, 'duration')
  return text as Duration
}

/** Milliseconds of a duration. `field` is named in the error. */
export function milliseconds(value: Duration, field: string): number {
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : null
  const unit = match && UNITS[match[2] ?? '']
  if (!match || !unit)
    throw new PolybusError(
      'INVALID_OPTION',
      `${field}: ${show(value)} is no duration. Write a number and a unit, such as '200ms', '30s', '1m', '12h' or '7d'.`,
    )
  const ms = Math.round(Number(match[1]) * unit)
  if (ms > LONGEST_MS)
    throw new PolybusError(
      'INVALID_OPTION',
      `${field}: ${show(value)} is longer than 100 years, which nothing can wait for.`,
    )
  return ms
}

/** A value as it may stand in an error message: short, and never an object's insides. */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    const safe = redact(value)
    return `'${safe.length > 60 ? `${safe.slice(0, 57)}…` : safe}'`
  }
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return String(value)
  return Array.isArray(value) ? 'an array' : `a${typeof value === 'object' ? 'n object' : ' ' + typeof value}`
}
