// npm run bench: what each part of the way of a message costs, on the memory broker, in one run.
import { parseArgs } from 'node:util'
import { heapOver } from './heap.ts'
import { describeMachine, rounds } from './measure.ts'
import { scenarios } from './scenarios.ts'
import { heapTable, table } from './table.ts'

const HELP = `npm run bench -- [options]

Publishes and consumes through the memory broker with stages switched on one after another, beside the bare work
(JSON, validation and an awaited handler, no broker) in the same rounds. Numbers are medians over the rounds.

  --messages N   messages a scenario and round (default 100000)
  --rounds N     rounds, scenarios alternating (default 5)
  --only TEXT    only scenarios whose name holds TEXT
  --heap         instead: the heap over the messages, through the last scenario chosen
  --json         one JSON object on the last line
  --help         this text

Examples
  npm run bench
  npm run bench -- --only full --rounds 9
  npm run bench -- --messages 5000000 --only full --heap --json`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string', default: '100000' },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', default: '' },
      heap: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const messages = wholeNumber('--messages', values.messages)
  const count = wholeNumber('--rounds', values.rounds)
  const chosen = scenarios.filter(({ name }) => name.includes(values.only))
  if (chosen.length === 0)
    throw new Error(`--only ${values.only}: no scenario. Known: ${scenarios.map(({ name }) => name).join(', ')}`)
  const machine = describeMachine()
  const progress = (text: string): void => void (process.stderr.isTTY && process.stderr.write(text))
  const last = chosen.at(-1)
  if (values.heap && last) {
    const samples = await heapOver(last, messages, progress)
    console.log(heapTable(samples))
    if (values.json) console.log(JSON.stringify({ machine, scenario: last.name, messages, samples }))
    return 0
  }
  const results = await rounds(chosen, messages, count, progress)
  console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; ${messages} messages, ${count} rounds\n`)
  console.log(table(results))
  if (values.json) console.log(JSON.stringify({ machine, messages, rounds: count, results }))
  return 0
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
