// What the ratios were when somebody wrote them down, and which have fallen since. Ratios, because absolute numbers are another
// machine's business.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { RAW_BARE } from './contenders.ts'
import type { describeMachine } from './measure.ts'
import type { Report } from './report.ts'

export interface Recorded {
  readonly machine: ReturnType<typeof describeMachine>
  readonly server: string
  readonly client: string
  readonly rounds: number
  /** By `nameOf`; medians. */
  readonly ratios: Readonly<Record<string, number>>
}
/** By broker. */
export type Records = Readonly<Record<string, Recorded>>

export interface Finding {
  readonly broker: string
  /** Size, scenario and what it is compared with. */
  readonly name: string
  readonly recorded: number
  readonly now: number
}

/** Below this part of what was recorded a ratio has fallen. */
export const TOLERANCE = 0.85
export const RECORDED_FILE: string = fileURLToPath(new URL('../recorded.json', import.meta.url))

const SHOWN_DIGITS = 3

/**
 * Those of Polybus: how the raw ones compare with each other is not ours. What promises less than Polybus tells of its own
 * progress too, and not of ours.
 */
export function ratiosOf({ sizes }: Pick<Report, 'sizes'>): Readonly<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const { bytes, rows } of sizes)
    for (const { direction, name, against } of rows)
      if (name.startsWith('polybus'))
        for (const ratio of against.filter(({ name: base }) => base !== RAW_BARE))
          found[`${bytes} B, ${direction}, ${name} / ${ratio.name}`] = Number(ratio.median.toPrecision(SHOWN_DIGITS))
  return found
}

export function readRecords(file: string = RECORDED_FILE): Records {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Records) : {}
}

/** What was not measured this time stays as it was. */
export function record(
  records: Records,
  machine: Recorded['machine'],
  { broker, server, client, rounds, sizes }: Report,
): Records {
  const ratios = { ...records[broker]?.ratios, ...ratiosOf({ sizes }) }
  return { ...records, [broker]: { machine, server, client, rounds, ratios } }
}

export function writeRecords(records: Records, file: string = RECORDED_FILE): void {
  writeFileSync(file, `${JSON.stringify(records, undefined, 2)}\n`)
}

export interface Checked {
  readonly compared: number
  readonly fallen: readonly Finding[]
  /** Measured, and nobody has recorded it. */
  readonly unknown: readonly string[]
}

export function check(records: Records, reports: readonly Report[]): Checked {
  const fallen: Finding[] = []
  const unknown: string[] = []
  let compared = 0
  for (const report of reports) {
    const { broker } = report
    const ratios = records[broker]?.ratios ?? {}
    for (const [name, now] of Object.entries(ratiosOf(report))) {
      const recorded = ratios[name]
      if (recorded === undefined) {
        unknown.push(`${broker}, ${name}`)
        continue
      }
      compared++
      if (now < recorded * TOLERANCE) fallen.push({ broker, name, recorded, now })
    }
  }
  return { compared, fallen, unknown }
}
