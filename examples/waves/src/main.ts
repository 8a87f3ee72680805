// A channel's data changes while its programs run: node examples/waves/dist/main.js --help
import { randomUUID } from 'node:crypto'
import { memory } from '@polybus/memory'
import { parseArgs } from 'node:util'
import type { ConnectOptions } from 'polybus'
import { registryAt } from './registry.ts'
import { runWaves } from './waves.ts'

const HELP = `node examples/waves/dist/main.js [options]

Prices change from euros to cents: first the consumers are rolled out, then the publishers, and no message is lost or misread.

  --broker URL    kafka: amqp: sqs: redis: (default: in memory)
  --registry URL  prices travel as Avro, by this schema registry (default: as JSON)
  --json          one JSON object
  --help          this text

Examples
  node examples/waves/dist/main.js
  npm run brokers -- up redis registry
  node examples/waves/dist/main.js --broker redis://127.0.0.1:6379 --registry http://127.0.0.1:8081/apis/ccompat/v7`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string' },
      registry: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const namespace = `waves-${randomUUID().slice(0, 8)}`
  const options = (): ConnectOptions => ({ broker: values.broker ?? memory({ name: namespace }), namespace })
  const { seen, deadLetters } = await runWaves(options, registryAt(values.registry))
  if (values.json) console.log(JSON.stringify({ seen, deadLetters }))
  else {
    for (const { wave, consumer, value } of seen)
      console.log(`${wave.padEnd(44)}  ${consumer} got ${JSON.stringify(value)}`)
    console.log(`${seen.length} prices handled, ${deadLetters} dead letters.`)
  }
  return deadLetters === 0 ? 0 : 1
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
