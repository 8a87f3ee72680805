// Which version of a channel's data a message holds, and how old data becomes today's.
import { describeError, PolybusError } from './errors.ts'
import { checkKeys, invalid, optionalInteger } from './options.ts'
import { show } from './duration.ts'

/** One step: data of a version to data of the next. */
export type Upcast = (value: unknown) => unknown
export type Upcasts = ReadonlyMap<number, Upcast>

const MAX_VERSION = 1_000_000
const URN = /^urn:polybus:[^:]+:v([1-9]\d{0,6})$/

/** CloudEvents' `dataschema` of what a channel with a `version` publishes: it stays with every copy. */
export const schemaUrn = (channel: string, version: number): string =>
  `urn:polybus:${encodeURIComponent(channel)}:v${version}`

/** What says nothing is of the first version. */
export const versionOf = (dataSchema: string | undefined): number =>
  dataSchema === undefined ? 1 : Number(URN.exec(dataSchema)?.[1] ?? 1)

/** @throws {PolybusError} `INVALID_OPTION` */
export function checkVersions(
  version: unknown,
  upcast: unknown,
  where: string,
): { readonly version: number | undefined; readonly upcasts: Upcasts } {
  const checked = optionalInteger(version, `${where}.version`, 1, MAX_VERSION)
  const upcasts = new Map<number, Upcast>()
  if (upcast === undefined) return { version: checked, upcasts }
  if (checked === undefined)
    throw invalid(`${where}.upcast`, 'needs the version that it leads to: give the channel a version.')
  const from = Array.from({ length: checked - 1 }, (_, index) => String(index + 1))
  checkKeys(upcast as object, from, `${where}.upcast`)
  for (const [key, step] of Object.entries(upcast as object)) {
    if (typeof step !== 'function') throw invalid(`${where}.upcast[${key}]`, `expected a function, got ${show(step)}.`)
    upcasts.set(Number(key), step as Upcast)
  }
  const first = Math.min(...upcasts.keys())
  for (let at = first; at < checked; at++)
    if (!upcasts.has(at))
      throw invalid(`${where}.upcast[${at}]`, `is missing: data of version ${first} would get no further.`)
  return { version: checked, upcasts }
}

/**
 * Data of that version as today's.
 *
 * @throws {PolybusError} `DECODE_FAILED`
 */
export function upcasted(value: unknown, from: number, to: number, upcasts: Upcasts): unknown {
  let current = value
  for (let at = from; at < to; at++) {
    const step = upcasts.get(at)
    if (!step)
      throw new PolybusError(
        'DECODE_FAILED',
        `it is of version ${from}, and nothing leads from version ${at} to ${to}: add upcast[${at}] to the channel`,
      )
    try {
      current = step(current)
    } catch (error) {
      throw new PolybusError('DECODE_FAILED', `upcast[${at}] threw: ${describeError(error).message}`, { cause: error })
    }
  }
  return current
}
