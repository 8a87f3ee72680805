// npm run bench: what each part of the way of a message costs, on the memory broker, in one run.
import { parseArgs } from 'node:util'
import { heapOver } from './heap.ts'
import { HANDLERS, openStoreBench } from './idempotency.ts'
import { describeMachine, type Measured, rounds } from './measure.ts'
import { scenarios } from './scenarios.ts'
import { costTable, heapTable, table } from './table.ts'

const HELP = `npm run bench -- [options]

Publishes and consumes through the memory broker with stages switched on one after another, beside the bare work
(JSON, validation and an awaited handler, no broker) in the same rounds. Numbers are medians over the rounds.

  --messages N   messages a scenario and round (default 100000; with --stores 10000)
  --rounds N     rounds, scenarios alternating (default 5)
  --only TEXT    only scenarios whose name holds TEXT
  --stores       instead: what each idempotency store costs a consumer, on servers of its own, in µs a message
  --heap         instead: the heap over the messages, through the last scenario chosen
  --json         one JSON object on the last line
  --help         this text

Examples
  npm run bench
  npm run bench -- --only full --rounds 9
  npm run bench -- --stores --only redis --json
  npm run bench -- --messages 5000000 --only full --heap --json`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', default: '' },
      heap: { type: 'boolean', default: false },
      stores: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const messages = wholeNumber('--messages', values.messages ?? (values.stores ? '10000' : '100000'))
  const count = wholeNumber('--rounds', values.rounds)
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

const progress = (text: string): void => void (process.stderr.isTTY && process.stderr.write(text))

function heading(messages: number, count: number): string {
  const { cpu, cores, node } = describeMachine()
  return `${cpu}, ${cores} cores, Node ${node}; ${messages} messages, ${count} rounds`
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}: expected a whole number from 1, got ${text}`)
  return value
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 2
  },
)
