// Every setting that a plain text can hold. The environment and the configuration file are checked by this one table,
// and docs/guide/connect.md lists it.
import {
  checkName,
  type Duration,
  invalid,
  optionalChoice,
  optionalDuration,
  optionalInteger,
  show,
} from '@polybus/core'

interface Kind {
  /** What is accepted, as the documentation says it. */
  readonly accepts: string
  /** Makes a value of a variable's text. What it cannot make, it leaves for `check` to refuse. */
  readonly parse: (text: string) => unknown
  /** @throws {PolybusError} `INVALID_OPTION` naming `where`. */
  readonly check: (value: unknown, where: string) => void
}

export interface Field extends Kind {
  /** Where it stands in the options of connect(), such as `['publishing', 'timeout']`. */
  readonly path: readonly string[]
  /** The name of its environment variable. */
  readonly variable: string
}

const asIs = (text: string): unknown => text

const word: Kind = {
  accepts: 'a text',
  parse: asIs,
  check(value, where) {
    if (typeof value !== 'string' || value === '') throw invalid(where, `expected a text, got ${show(value)}.`)
  },
}
const name: Kind = { accepts: 'a name', parse: asIs, check: checkName }
const length = (minMs: number): Kind => ({
  accepts: minMs === 0 ? 'a duration' : 'a duration above 0',
  parse: asIs,
  check: (value, where) => void optionalDuration(value as Duration, where, minMs),
})
const count = (max?: number): Kind => ({
  accepts: `a whole number from 1${max === undefined ? '' : ` to ${max}`}`,
  // Number(' ') is 0 and Number('0x10') is 16: only digits make a number.
  parse: (text) => (/^\d+$/.test(text) ? Number(text) : text),
  check: (value, where) => void optionalInteger(value, where, 1, max),
})
const choice = (...choices: readonly string[]): Kind => ({
  accepts: choices.map((option) => `\`${option}\``).join(', '),
  parse: asIs,
  check: (value, where) => void optionalChoice(value as string, where, choices),
})
// scheme.ts checks what `broker` holds: in a file it may be an adapter object.
const broker: Kind = { accepts: 'a broker URL', parse: asIs, check: () => {} }

const field = (dotted: string, kind: Kind): Field => {
  const path = dotted.split('.')
  const words = path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase())
  return { path, variable: ['POLYBUS', ...words].join('_'), ...kind }
}

export const FIELDS: readonly Field[] = [
  field('broker', broker),
  field('service', word),
  field('namespace', name),
  field('topology', choice('create', 'verify', 'none')),
  field('connectTimeout', length(1)),
  field('grace', length(0)),
  field('durability', choice('report', 'strict')),
  field('publishing.timeout', length(1)),
  field('publishing.bufferMessages', count()),
  field('publishing.bufferBytes', count()),
  field('publishing.whenFull', choice('wait', 'reject', 'drop-oldest')),
  field('defaults.concurrency', count(10_000)),
  field('defaults.timeout', length(1)),
  field('defaults.retry.attempts', count(1_000_000)),
]
