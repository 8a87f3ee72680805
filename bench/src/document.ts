// docs/performance.md, from what runs have said with --json: no figure in it is written by hand.
import { readFileSync } from 'node:fs'
import { barTable } from './bars.ts'
import { PARTS, type Report, type Result } from './report.ts'
import { METHODS, sheetsOf } from './sheets.ts'
import { number, plainRatio, type Sheet } from './table.ts'
import type { Row } from './throughput.ts'

/** @throws {Error} where the file's last line is no result of `--broker … --json`. */
export function readResult(file: string): Result {
  const last = readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? ''
  let found: Partial<Result>
  try {
    found = JSON.parse(last) as Partial<Result>
  } catch (cause) {
    throw new Error(`${file}: its last line is no JSON. Keep what \`npm run bench -- --broker … --json\` prints.`, {
      cause,
    })
  }
  const { machine, at, reports } = found
  if (!machine || at === undefined || !reports)
    throw new Error(`${file}: no result of \`npm run bench -- --broker … --json\`.`)
  return { machine, at, reports }
}

export function documentOf(results: readonly Result[]): string {
  const parts = [
    '# Performance',
    '<!-- Written by `npm run bench -- --document`: change bench/src/document.ts instead. -->',
    'Polybus beside the raw client, on real servers. `raw naive` is the client as its README shows it;\n' +
      '`raw tuned` is the best that one writes by hand with the same client for the same guarantees: batches, pipelines, prefetch,\n' +
      'acks of many. Both sides encode and decode JSON, and have the same topics, queues or streams. Messages have the\n' +
      'same attributes on both sides (id, source, type, content type, time: without them a duplicate is not known, nor a type), and all consume what Polybus has published.\n' +
      '`raw naive` publishes bodies alone, and so does `raw bare`, which is tuned otherwise: what one gets who gives up what the attributes are for.',
    'In each round every scenario runs once, on a channel of its own, so that what slows the machine down meets all of them. Ratios are\n' +
      "those of the same round: the median over the rounds, and in brackets the interval that holds it with at least 95 % (from the rounds' order, without a\n" +
      'model of their distribution; with fewer than six rounds: the range). Publishing is timed until the broker has confirmed everything, consuming from\n' +
      'the moment that the consumer has joined to its last message. A run that loses or doubles a message, or settles not all of them, fails.',
    ...PARTS.filter((part) => results.some(({ reports }) => reports.some((report) => report[part]))).map(
      (part) => METHODS[part],
    ),
    'It is measured again as [bench/README.md](../bench/README.md) says.',
    ...bars(results.flatMap(({ reports }) => reports)),
    ...BROKERS.flatMap((broker) => chapter(broker, results)),
  ]
  return `${parts.join('\n\n')}\n`
}

function bars(reports: readonly Report[]): readonly string[] {
  const [head = [], ...rows] = barTable(reports, REAL)
  if (head.length === 2) return []
  return [
    '## At a glance',
    'What Polybus wants to reach, and what was measured with bodies of 256 bytes. One is missed where the whole interval lies on the wrong side of the aim.',
    markdown(head, rows),
  ]
}

/** One for each broker, of all that was measured of it, in however many runs. */
function chapter(broker: Report['broker'], results: readonly Result[]): readonly string[] {
  const found = results.flatMap((result) =>
    result.reports.filter((report) => report.broker === broker).map((report) => section(result, report)),
  )
  if (found.length === 0) return []
  const about = ABOUT[broker]
  return [`## ${TITLES[broker]}`, ...(about === undefined ? [] : [about]), ...found.flat()]
}

function section({ machine, at }: Result, report: Report): readonly string[] {
  const { cpu, cores, node, platform } = machine
  const { server, client, rounds, sizes } = report
  return [
    `${server}, ${client}; ${cpu}, ${cores} cores, shared by client and server, Node ${node}, ${platform}; ${alone(report) ? '' : `${rounds} rounds, `}${at.slice(0, 10)}.`,
    ...sizes.flatMap(({ bytes, rows }) => [`Bodies of ${number(bytes)} bytes:`, throughputMarkdown(rows)]),
    ...(sizes.length === 0 ? [] : [meanings(sizes.flatMap(({ rows }) => rows))]),
    ...sheetsOf(report).flatMap(sheetMarkdown),
  ]
}

/** One long run is no rounds. */
const alone = (report: Report): boolean =>
  report.sizes.length === 0 && PARTS.every((part) => part === 'memory' || report[part] === undefined)

const sheetMarkdown = ({ title, about, head, rows, notes = [] }: Sheet): readonly string[] => [
  `### ${title}`,
  about,
  markdown(head, rows),
  ...(notes.length === 0 ? [] : [notes.map((note) => `- ${note}`).join('\n')]),
]

const TITLES: Readonly<Record<Report['broker'], string>> = {
  kafka: 'Kafka',
  rabbitmq: 'RabbitMQ',
  redis: 'Redis',
  sqs: 'SQS',
  memory: 'In memory',
}
/** The broker in memory has no raw client to be compared with. */
const REAL = (Object.entries(TITLES) as [Report['broker'], string][]).filter(([broker]) => broker !== 'memory')
const BROKERS = Object.keys(TITLES) as readonly Report['broker'][]
const ABOUT: Partial<Record<Report['broker'], string>> = {
  sqs:
    'The server is ElasticMQ, an emulator that has its queues in memory and answers slower, and without the way to AWS: the numbers compare the two sides, ' +
    'and say nothing about Amazon SQS itself.',
  memory: 'The broker in this process: no server and no wire, so that what core does is all there is.',
}

function throughputMarkdown(rows: readonly Row[]): string {
  const head = [
    '',
    'messages/s',
    'lowest to highest',
    'own CPU, µs a message',
    'of raw tuned',
    'of raw bare',
    'of raw naive',
  ]
  const cells = rows.map((row) => [
    `${row.direction}, ${row.name}`,
    number(row.median),
    `${number(row.lowest)} to ${number(row.highest)}`,
    row.cpuMicros.toFixed(1),
    plainRatio(row, 'raw tuned'),
    plainRatio(row, 'raw bare'),
    plainRatio(row, 'raw naive'),
  ])
  return markdown(head, cells)
}

const markdown = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((title, column) => (column === 0 || title === 'what' ? '---' : '--:')), ...rows]
    .map((line) => `| ${line.join(' | ')} |`)
    .join('\n')

function meanings(rows: readonly Row[]): string {
  const lines = new Map(rows.map(({ direction, name, what }) => [`${direction}, ${name}`, what]))
  return Array.from(lines, ([name, what]) => `- ${name}: ${what}`).join('\n')
}
