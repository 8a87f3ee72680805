// Rows as text, no wider than the terminal.
import type { Io } from './command.ts'

export interface Column {
  readonly title: string
  readonly align?: 'right'
  /** Cut last. */
  readonly keep?: true
}

const NARROW = 8
const GAP = 2

/** Widths of the columns: those that are not to be kept give way, the widest first. */
export function widthsOf(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
): readonly number[] {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => clean(row[index] ?? '').length)),
  )
  const total = (): number => widths.reduce((sum, one) => sum + one, 0) + GAP * (widths.length - 1)
  const shrink = (may: (index: number) => boolean, least: number): void => {
    while (width !== undefined && total() > width) {
      let widest = -1
      for (const [index, one] of widths.entries())
        if (may(index) && one > least && one > (widths[widest] ?? 0)) widest = index
      if (widest < 0) return
      widths[widest] = (widths[widest] as number) - 1
    }
  }
  shrink((index) => !columns[index]?.keep, NARROW)
  shrink(() => true, 3)
  return widths
}

export function line(columns: readonly Column[], widths: readonly number[], row: readonly string[]): string {
  return columns
    .map(({ align }, index) => {
      const width = widths[index] ?? 0
      const text = cut(clean(row[index] ?? ''), width)
      return align === 'right' ? text.padStart(width) : text.padEnd(width)
    })
    .join(' '.repeat(GAP))
    .trimEnd()
}

export const titles = (columns: readonly Column[]): readonly string[] => columns.map(({ title }) => title)

const cut = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text)
/** A line stays one, and what a message holds cannot steer the terminal. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
export const clean = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')

/** So many rows decide together how wide the columns are. */
const PAGE = 100

/** Rows that come one by one: the first ones wait for each other, so that their widths are known. */
export function pagedTable(
  columns: readonly Column[],
  { columns: width, out }: Pick<Io, 'columns' | 'out'>,
): { add(row: readonly string[]): Promise<void>; end(): Promise<void> } {
  let widths: readonly number[] | undefined
  let rows: (readonly string[])[] = []
  const end = async (): Promise<void> => {
    if (rows.length === 0) return
    const first = !widths
    // Later pages may need more: an id that is cut cannot be used.
    const needed = widthsOf(columns, rows, width)
    widths = width === undefined ? needed.map((each, index) => Math.max(each, widths?.[index] ?? 0)) : needed
    for (const row of first ? [titles(columns), ...rows] : rows) await out(line(columns, widths, row))
    rows = []
  }
  return {
    async add(row) {
      if (rows.push(row) >= PAGE) await end()
    },
    end,
  }
}
