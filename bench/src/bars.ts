// What Polybus wants to reach, beside what was measured: the first table of the page.
import { RAW_NAIVE, RAW_TUNED } from './contenders.ts'
import type { Ratio } from './paired.ts'
import type { Report } from './report.ts'
import { ratioText } from './table.ts'

interface Bar {
  readonly title: string
  /** At least this, or at most, where less is better. */
  readonly limit: { readonly least: number } | { readonly most: number }
  /** Of these brokers alone; others are told, and not judged. */
  readonly only?: readonly Report['broker'][]
  readonly of: (report: Report) => Ratio | undefined
}

const BYTES = 256
const throughput =
  (direction: 'publish' | 'consume', name: string, base: string) =>
  ({ sizes }: Report): Ratio | undefined =>
    sizes
      .find(({ bytes }) => bytes === BYTES)
      ?.rows.find((row) => row.direction === direction && row.name === name)
      ?.against.find((ratio) => ratio.name === base)

const BARS: readonly Bar[] = [
  { title: 'publish, of raw tuned', limit: { least: 0.9 }, of: throughput('publish', 'polybus', RAW_TUNED) },
  {
    title: 'publish, of raw naive',
    limit: { least: 5 },
    only: ['kafka', 'sqs'],
    of: throughput('publish', 'polybus', RAW_NAIVE),
  },
  { title: 'consume, of raw tuned', limit: { least: 0.95 }, of: throughput('consume', 'polybus', RAW_TUNED) },
  {
    title: 'single publish, p50 of raw',
    limit: { most: 1.1 },
    of: ({ idle }) => idle?.p50,
  },
  {
    title: "latency p99 at half of raw naive's capacity, of raw naive",
    limit: { most: 1.5 },
    of: ({ latency }) => latency?.rows.find(({ part }) => part === 0.5)?.p99,
  },
]

/** Missed only where the whole interval is on the wrong side. */
export function isMissed({ low, high }: Ratio, limit: Bar['limit']): boolean {
  return 'least' in limit ? high < limit.least : low > limit.most
}

const limitText = (limit: Bar['limit']): string =>
  'least' in limit ? `at least ${limit.least}` : `at most ${limit.most}`

/** Head and rows: a row a bar, a column a broker. Several results of one broker count as one. */
export function barTable(
  reports: readonly Report[],
  titles: readonly (readonly [Report['broker'], string])[],
): readonly (readonly string[])[] {
  const there = titles.filter(([broker]) => reports.some((report) => report.broker === broker))
  const cell = ({ only, of, limit }: Bar, broker: Report['broker']): string => {
    const ratio = reports
      .filter((report) => report.broker === broker)
      .map(of)
      .findLast((found) => found !== undefined)
    if (!ratio) return 'not measured'
    if (only && !only.includes(broker)) return ratioText(ratio)
    return isMissed(ratio, limit) ? `**missed**: ${ratioText(ratio)}` : ratioText(ratio)
  }
  const heaps = there.map(([broker]) => {
    const memory = reports.findLast((report) => report.broker === broker && report.memory)?.memory
    return memory ? (memory.heap.flat ? 'flat' : '**missed**: it rises') : 'not measured'
  })
  return [
    ['', 'aim', ...there.map(([, title]) => title)],
    ...BARS.map((bar) => [
      bar.title,
      `${limitText(bar.limit)}${
        bar.only
          ? ` (${titles
              .filter(([broker]) => bar.only?.includes(broker))
              .map(([, title]) => title)
              .join(', ')})`
          : ''
      }`,
      ...there.map(([broker]) => cell(bar, broker)),
    ]),
    ['heap over the messages of a long run', 'flat', ...heaps],
  ]
}
