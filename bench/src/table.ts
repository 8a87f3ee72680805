import type { HeapSample } from './heap.ts'
import type { Measured } from './measure.ts'
import type { Ratio } from './paired.ts'
import type { Report } from './report.ts'
import type { Row } from './throughput.ts'

export interface Sheet {
  readonly title: string
  readonly about: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Below the table. */
  readonly notes?: readonly string[]
}

export const number = (value: number): string => Math.round(value).toLocaleString('en-US')

export function table(results: readonly Measured[]): string {
  const first = results[0]?.name ?? ''
  const rows = results.map(({ name, what, median, lowest, highest, ratio, heapBytes }) => [
    name,
    number(median),
    `${number(lowest)} to ${number(highest)}`,
    ratio.toFixed(2),
    `${number(heapBytes / 1e6)} MB`,
    what,
  ])
  return aligned(['scenario', 'messages/s', 'range', `of ${first}`, 'heap', 'what'], rows)
}

/** Microseconds a message, and what of it the first scenario does not cost. */
export function costTable(results: readonly Measured[]): string {
  const micros = (rate: number): number => 1e6 / rate
  const rows = results.map(({ name, what, median, lowest, highest, ratio, overheadMicros, cpuMicros }) => [
    name,
    micros(median).toFixed(1),
    `${micros(highest).toFixed(1)} to ${micros(lowest).toFixed(1)}`,
    overheadMicros.toFixed(1),
    (1 / ratio).toFixed(1),
    cpuMicros.toFixed(1),
    what,
  ])
  return aligned(['store', 'µs a message', 'range', 'overhead', 'ratio', 'own CPU', 'what'], rows)
}

export const sheetTable = ({ title, about, head, rows, notes = [] }: Sheet): string =>
  [`${title}\n${about}\n${aligned(head, rows)}`, ...notes].join('\n')

/** A table for each size. */
export function throughputTable({ sizes }: Pick<Report, 'sizes'>): string {
  return sizes
    .map(({ bytes, rows }) => {
      const head = ['scenario', 'messages', 'messages/s', 'range', 'own CPU', 'of raw tuned', 'of raw naive', 'what']
      const cells = rows.map((row) => [
        `${row.direction} ${row.name}`,
        number(row.messages),
        number(row.median),
        `${number(row.lowest)} to ${number(row.highest)}`,
        `${row.cpuMicros.toFixed(1)} µs`,
        plainRatio(row, 'raw tuned'),
        plainRatio(row, 'raw naive'),
        row.what,
      ])
      return `${number(bytes)} B\n${aligned(head, cells)}`
    })
    .join('\n\n')
}

/** The median, and in brackets where it lies. */
export function plainRatio({ against }: Row, base: string): string {
  const ratio = against.find(({ name }) => name === base)
  return ratio ? ratioText(ratio) : ''
}
export const ratioText = ({ median, low, high }: Ratio): string =>
  `${digits(median)} (${digits(low)} to ${digits(high)})`
const digits = (value: number): string =>
  value > 0 && value < 0.1 ? value.toPrecision(2) : value.toFixed(value < 10 ? 2 : 1)

function aligned(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const left = new Set([0, head.length - 1])
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (left.has(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}

export const heapTable = (samples: readonly HeapSample[]): string =>
  samples
    .map(
      ({ messages, heapBytes }) =>
        `${number(messages).padStart(12)} messages  ${(heapBytes / 1e6).toFixed(1).padStart(7)} MB`,
    )
    .join('\n')
