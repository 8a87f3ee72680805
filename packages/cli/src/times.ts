import { type Duration, milliseconds } from '@polybus/core'
import { UsageError } from './command.ts'

/** A length of time ago, or a date. */
export function timeOf(text: string | undefined, where: string, now: number): Date | undefined {
  if (text === undefined) return undefined
  if (/^\d+(\.\d+)?[a-z]+$/.test(text)) return new Date(now - milliseconds(text as Duration, where))
  const time = Date.parse(text)
  if (Number.isNaN(time))
    throw new UsageError(
      `${where}: '${text}' is no time. Write how long ago, such as 2h or 7d, or a date such as 2025-01-31T12:00Z.`,
    )
  return new Date(time)
}

/** To the second: what fits a table. */
export const shortTime = (time: Date): string =>
  time
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z')

export function ageOf(ms: number): string {
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
  ] as const)
    if (ms >= 2 * size) return `${Math.floor(ms / size)} ${unit}`
  return `${Math.round(ms / 1000)} s`
}
