// Tables of what was measured beside the throughput: the same in a terminal and in docs/performance.md.
import type { Costs } from './cost.ts'
import type { Idle } from './idle.ts'
import type { Latency } from './latency.ts'
import { FLAT_BYTES, FLAT_PART, type Memory, type Trend } from './memory.ts'
import type { Ratio } from './paired.ts'
import type { Part, Report } from './report.ts'
import type { Scaling } from './scaling.ts'
import { number, ratioText, type Sheet } from './table.ts'
import type { Wire } from './wire.ts'

/** In the order of the page; what was not measured has none. */
export const sheetsOf = (report: Report): readonly Sheet[] => [
  ...(report.latency ? [latencySheet(report.latency)] : []),
  ...(report.idle ? [idleSheet(report.idle)] : []),
  ...(report.scaling ? [scalingSheet(report.scaling)] : []),
  ...(report.cost ? [costSheet(report.cost)] : []),
  ...(report.memory ? [memorySheet(report.memory)] : []),
  ...(report.wire ? wireSheets(report.wire) : []),
]

/** How each is measured, once for the page. */
export const METHODS: Readonly<Record<Part, string>> = {
  latency:
    '**Latency** is from when a message was due to be published to the start of its handler, by the clock of the one process that does both. ' +
    'Messages are sent by a schedule at a steady rate, whoever is slow: what could only be sent late has waited, and that counts. ' +
    'The rates are parts of what the naive raw client could publish and consume at one time. Polybus does its whole pipeline (zod on both sides, retry, dead letters). ' +
    'Between messages that are close the event loop is polled and not slept, on both sides, since a timer takes a millisecond. ' +
    '`sent late` is the p99 of how late the loop came to the call. A ratio of times above 1 is slower than raw.',
  idle:
    '**Single publishes**: one after the other on a bus that does nothing else, beside the tuned raw client given one message at a time. ' +
    'Times until the broker has confirmed; a ratio above 1 is slower than raw.',
  scaling:
    '**Processes and lanes**: consumer processes of their own, which join and share the lanes of an almost empty channel, pause, and go on together when it is full. ' +
    'On SQS they do not pause, and the time counts from the first publish: pausing consumers of a FIFO queue was seen to hold messages back, and to double some. ' +
    'Server and processes share the cores of the machine, so two processes cannot be twice as fast where one and the server fill it already.',
  cost:
    '**Costs**: a filled channel is consumed by the plain consumer and, in the same rounds, with one thing more. ' +
    '`more` is what that costs in processor time of the process, a median of the differences within rounds; the ratio is of messages a second.',
  memory:
    '**Memory**: one process publishes and consumes at one time, with a bounded backlog. At each sample all that was sent has been handled, and the heap is what a full collection left. ' +
    `A line is fitted to the second half of the samples by least squares; it is flat where it rises by no more than ${FLAT_PART * 100} % of its mean, or ${FLAT_BYTES / 2 ** 20} MiB where that is more, ` +
    'over that half.',
  wire:
    '**On the wire**: bytes over all sockets of the process, as they count themselves, for each message. A publisher is counted from when it is connected; a consumer from its connection ' +
    'to its end, joining and settling included. Bodies included, TCP headers not.',
}

const percent = (part: number): string => `${Math.round(part * 100)} %`
const ms = (value: number): string => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : number(value))
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)
const optional = (ratio: Ratio | undefined): string => (ratio ? ratioText(ratio) : '')

function latencySheet({ bytes, capacity, rows }: Latency): Sheet {
  return {
    title: 'Latency',
    about: `Milliseconds, bodies of ${number(bytes)} B. Raw naive carries ${number(capacity)} messages/s.`,
    head: ['', 'messages/s', 'messages', 'p50', 'p99', 'sent late', 'p50 of raw naive', 'p99 of raw naive'],
    rows: rows.flatMap(({ part, rate, messages, sides, p50, p99 }) =>
      sides.map(({ name, ...side }, index) => [
        `${percent(part)}, ${name}`,
        number(rate),
        number(messages),
        ms(side.p50),
        ms(side.p99),
        ms(side.late),
        index === 0 ? '' : ratioText(p50),
        index === 0 ? '' : ratioText(p99),
      ]),
    ),
  }
}

function idleSheet({ bytes, calls, sides, p50, p99 }: Idle): Sheet {
  return {
    title: 'Single publishes',
    about: `Milliseconds, bodies of ${number(bytes)} B, ${number(calls)} in each round.`,
    head: ['', 'p50', 'p99', 'p50 of raw', 'p99 of raw'],
    rows: sides.map((side, index) => [
      side.name,
      ms(side.p50),
      ms(side.p99),
      index === 0 ? '' : ratioText(p50),
      index === 0 ? '' : ratioText(p99),
    ]),
  }
}

function scalingSheet({ bytes, messages, rows }: Scaling): Sheet {
  return {
    title: 'Processes and lanes',
    about: `Consuming ${number(messages)} messages of ${number(bytes)} B, with zod, retry and dead letters.`,
    head: ['lanes', 'processes', 'messages/s', 'range', 'the busiest one did', 'of one process'],
    rows: rows.map((row) => [
      String(row.lanes),
      String(row.processes),
      number(row.median),
      `${number(row.lowest)} to ${number(row.highest)}`,
      percent(row.busiest),
      optional(row.ratio),
    ]),
    notes: rows.flatMap(({ lanes, processes, again }) =>
      again === 0 ? [] : [`lanes: ${lanes}, processes: ${processes}: ${number(again)} messages were handed out again`],
    ),
  }
}

function costSheet({ bytes, messages, rows }: Costs): Sheet {
  return {
    title: 'Costs',
    about: `Consuming ${number(messages)} messages of ${number(bytes)} B.`,
    head: ['with', 'messages/s', 'of plain', 'own CPU, µs a message', 'more', 'what'],
    rows: rows.map((row) => [
      row.name,
      number(row.median),
      optional(row.ratio),
      row.cpuMicros.toFixed(1),
      row.ratio ? row.more.toFixed(1) : '',
      row.what,
    ]),
  }
}

function memorySheet({ bytes, messages, again, samples, heap, rss }: Memory): Sheet {
  const row = (name: string, values: readonly number[], { slope, rise, limit, flat }: Trend): readonly string[] => [
    name,
    megabytes(values[0] ?? NaN),
    megabytes(values.at(-1) ?? NaN),
    megabytes(Math.max(...values)),
    slope.toFixed(2),
    megabytes(rise),
    megabytes(limit),
    flat ? 'flat' : 'not flat',
  ]
  const heaps = samples.map((sample) => sample.heap)
  const sizes = samples.map((sample) => sample.rss)
  return {
    title: 'Memory',
    about: `MB over ${number(messages)} messages of ${number(bytes)} B.`,
    head: ['', 'first', 'last', 'highest', 'B a message', 'rise', 'flat up to', ''],
    rows: [row('heap', heaps, heap), row('rss', sizes, rss)],
    notes: [
      `heap at each sample: ${heaps.map(megabytes).join(', ')}`,
      `rss at each sample: ${sizes.map(megabytes).join(', ')}`,
      ...(again === 0 ? [] : [`${number(again)} messages were handed out again`]),
    ],
  }
}

const wireSheets = ({ rounds, sizes }: Wire): readonly Sheet[] =>
  sizes.map(({ bytes, rows }) => ({
    title: `On the wire, ${number(bytes)} B`,
    about: `Bytes a message, medians of ${rounds} rounds.`,
    head: ['', 'messages', 'to the server', 'from it', 'both', 'of raw tuned', 'of raw bare'],
    rows: rows.map(({ direction, name, messages, sent, received, against }) => [
      `${direction}, ${name}`,
      number(messages),
      number(sent),
      number(received),
      number(sent + received),
      optional(against.find((ratio) => ratio.name === 'raw tuned')),
      optional(against.find((ratio) => ratio.name === 'raw bare')),
    ]),
  }))
