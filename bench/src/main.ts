// npm run bench: what each part of the way of a message costs, on the memory broker, in one run; or the raw clients of real
// brokers beside Polybus.
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { heapOver } from './heap.ts'
import { HANDLERS, openStoreBench } from './idempotency.ts'
import { describeMachine, type Measured, rounds } from './measure.ts'
import { onBrokers } from './on-brokers.ts'
import { PARTS } from './report.ts'
import { scenarios } from './scenarios.ts'
import { openSchemaBench } from './schemas.ts'
import { costTable, heapTable, table } from './table.ts'

const HELP = `npm run bench -- [options]

Publishes and consumes through the memory broker with stages switched on one after another, beside the bare work
(JSON, validation and an awaited handler, no broker) in the same rounds. Numbers are medians over the rounds.

  --messages N   messages a scenario and round (default 100000; with --stores 10000; with --broker as suits it)
  --rounds N     rounds, scenarios alternating (default 5; with --broker 9)
  --only TEXT    only scenarios whose name holds TEXT
  --stores       instead: what each idempotency store costs a consumer, on servers of its own, in µs a message
  --schemas      instead: what a codec of the schema registry costs to write and to read, beside JSON and the libraries
  --heap         instead: the heap over the messages, through the last scenario chosen
  --json         one JSON object on the last line
  --help         this text

On real brokers, on servers of its own, beside the raw client in the same rounds; the throughput, or instead of it what
is named, and with --throughput both:

  --broker NAME  kafka, rabbitmq, redis, sqs or all; may stand several times
  --latency      from publish to handler at 10, 50 and 90 % of what the naive raw client carries, at a steady rate
  --idle         single publishes, one after the other, on a bus that does nothing else
  --scaling      consuming in 1 and 2 processes, without a key and with 1, 4 and 8 lanes
  --cost         what each feature of a consumer costs beside the plain one; in memory too, and there alone without --broker
  --memory       heap and resident memory over 1,000,000 messages (or --messages)
  --wire         bytes on the wire for each message, both ways
  --all-of-it    all of these, and the throughput
  --smoke        each once, of few messages, and without a round that warms up: whether it works, not how fast
  --size N       bytes of a body (default 256 and 4096; what measures one size takes the first)
  --seconds N    of a run of --latency (default 5)
  --only TEXT    only scenarios whose direction and name hold TEXT; the raw ones they are compared with stay
  --alone        without the raw ones: for a profiler
  --check        exit 1 where a ratio is below 85 % of the one in bench/recorded.json (default brokers: those in it)
  --record       write bench/recorded.json
  --results DIR  write DIR/NAME.json of each broker, as soon as something of it is measured
  --document FILE [RESULT ...]
                 write the page on performance, from files of --results or what runs with --json printed, from this run,
                 or from both

Examples
  npm run bench
  npm run bench -- --only full --rounds 9
  npm run bench -- --stores --only redis --json
  npm run bench -- --schemas --rounds 9
  npm run bench -- --messages 5000000 --only full --heap --json
  npm run bench -- --broker kafka --size 256 --only publish
  npm run bench -- --broker redis --json | tee redis.txt
  npm run bench -- --broker redis --latency --idle --rounds 3
  npm run bench -- --broker kafka --memory --messages 200000
  npm run bench -- --cost --only retry
  npm run bench -- --broker all --all-of-it --results bench/results
  npm run bench -- --document docs/performance.md bench/results/*.json
  npm run bench -- --check --broker redis`

/** What is not said on the command line, with --broker. */
const REAL = { rounds: '9', sizes: ['256', '4096'], seconds: '5', messages: undefined }
const SMOKE = { rounds: '1', sizes: ['256'], seconds: '0.2', messages: '500' }

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      messages: { type: 'string' },
      rounds: { type: 'string' },
      only: { type: 'string', default: '' },
      heap: { type: 'boolean', default: false },
      stores: { type: 'boolean', default: false },
      schemas: { type: 'boolean', default: false },
      broker: { type: 'string', multiple: true, default: [] },
      size: { type: 'string', multiple: true },
      alone: { type: 'boolean', default: false },
      throughput: { type: 'boolean', default: false },
      latency: { type: 'boolean', default: false },
      idle: { type: 'boolean', default: false },
      scaling: { type: 'boolean', default: false },
      cost: { type: 'boolean', default: false },
      memory: { type: 'boolean', default: false },
      wire: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      'all-of-it': { type: 'boolean', default: false },
      seconds: { type: 'string' },
      results: { type: 'string' },
      check: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      document: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  refuseTogether(values)
  const usual = values.smoke ? SMOKE : REAL
  const parts = PARTS.filter((part) => values[part] || values['all-of-it'])
  if (
    values.broker.length > 0 ||
    parts.length > 0 ||
    values.check ||
    values.record ||
    values.results !== undefined ||
    values.document !== undefined
  )
    return onBrokers({
      ...values,
      brokers: values.broker,
      parts,
      // Ratios that are recorded are those of the throughput.
      throughput: parts.length === 0 || values.throughput || values['all-of-it'] || values.check || values.record,
      rounds: wholeNumber('--rounds', values.rounds ?? usual.rounds),
      warmUp: !values.smoke,
      sizes: sizesOf(values.size ?? usual.sizes),
      seconds: positive('--seconds', values.seconds ?? usual.seconds),
      messages: optionalNumber('--messages', values.messages ?? usual.messages),
      document: values.document,
      results: values.results,
      earlier: positionals,
      progress,
    })
  if (positionals.length > 0) throw new Error(`${positionals.join(' ')}: only --document takes files`)
  const messages = wholeNumber('--messages', values.messages ?? (values.stores ? '10000' : '100000'))
  const count = wholeNumber('--rounds', values.rounds ?? '5')
  if (values.schemas) return schemas(messages, count, values.only, values.json)
  if (values.stores) return stores(messages, count, values.only, values.json)
  const chosen = scenarios.filter(({ name }) => name.includes(values.only))
  if (chosen.length === 0)
    throw new Error(`--only ${values.only}: no scenario. Known: ${scenarios.map(({ name }) => name).join(', ')}`)
  const machine = describeMachine()
  const last = chosen.at(-1)
  if (values.heap && last) {
    const samples = await heapOver(last, messages, progress)
    console.log(heapTable(samples))
    if (values.json) console.log(JSON.stringify({ machine, scenario: last.name, messages, samples }))
    return 0
  }
  const results = await rounds(chosen, messages, count, progress)
  console.log(`${heading(messages, count)}\n\n${table(results)}`)
  if (values.json) console.log(JSON.stringify({ machine, messages, rounds: count, results }))
  return 0
}

async function schemas(messages: number, count: number, only: string, json: boolean): Promise<number> {
  const bench = await openSchemaBench()
  try {
    console.log(heading(messages, count))
    const results: Record<string, readonly Measured[]> = {}
    for (const half of ['encode', 'decode'] as const) {
      const chosen = bench.scenarios(half).filter(({ name }, index) => index === 0 || name.includes(only))
      const measured = (results[half] = await rounds(chosen, messages, count, progress))
      console.log(`\n${half}:\n${table(measured)}`)
    }
    if (json) console.log(JSON.stringify({ machine: describeMachine(), messages, rounds: count, results }))
    return 0
  } finally {
    await bench.end()
  }
}

/** The row without a store is always there: the others are told against it. */
async function stores(messages: number, count: number, only: string, json: boolean): Promise<number> {
  const bench = await openStoreBench()
  try {
    console.log(heading(messages, count))
    const results: Record<string, readonly Measured[]> = {}
    for (const handler of Object.keys(HANDLERS)) {
      const chosen = bench.scenarios(handler).filter(({ name }, index) => index === 0 || name.includes(only))
      const measured = (results[handler] = await rounds(chosen, messages, count, progress))
      console.log(`\n${handler}:\n${costTable(measured)}`)
    }
    for (const text of bench.leftOut) console.log(`left out: ${text}`)
    if (json) console.log(JSON.stringify({ machine: describeMachine(), messages, rounds: count, results }))
    return 0
  } finally {
    await bench.end()
  }
}

/** Pairs of which one would be ignored, or would write down what says nothing. */
const APART: readonly (readonly [string, readonly string[]])[] = [
  ['smoke', ['record', 'check', 'document']],
  ['alone', ['record', 'check']],
  ['stores', ['broker', 'schemas', 'heap']],
  ['schemas', ['broker', 'heap']],
  ['heap', ['broker']],
]
function refuseTogether(values: Readonly<Record<string, unknown>>): void {
  const isGiven = (name: string): boolean => {
    const value = values[name]
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false
  }
  for (const [name, others] of APART)
    for (const other of others)
      if (isGiven(name) && isGiven(other)) throw new Error(`--${name} and --${other} do not go together`)
  const folder = typeof values['document'] === 'string' ? dirname(values['document']) : undefined
  if (folder !== undefined && !existsSync(folder)) throw new Error(`--document: there is no folder ${folder}`)
}

const progress = (text: string): void => void (process.stderr.isTTY && process.stderr.write(text))

function heading(messages: number, count: number): string {
  const { cpu, cores, node } = describeMachine()
  return `${cpu}, ${cores} cores, Node ${node}; ${messages} messages, ${count} rounds`
}

function sizesOf(texts: readonly string[]): readonly [number, ...number[]] {
  const [first = 0, ...others] = texts.map((size) => wholeNumber('--size', size))
  return [first, ...others]
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < Infinity)) throw new Error(`${name}: expected a number above 0, got ${text}`)
  return value
}

const optionalNumber = (name: string, text: string | undefined): number | undefined =>
  text === undefined ? undefined : wholeNumber(name, text)

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}: expected a whole number from 1, got ${text}`)
  return value
}

main().then(
  (code) => {
    // A part that failed has said so.
    process.exitCode ||= code
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 2
  },
)
