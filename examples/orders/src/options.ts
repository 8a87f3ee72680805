// What can be said on the command line.
import { parseArgs } from 'node:util'
import { ownService } from './own-broker.ts'

export const HELP = `A shop's checkout on 69,659 real purchases: publishes each once, and charges, mails and ships through six groups.

Usage: npm start -- [options]

  --broker URL    where the messages go (default memory:); redis:, amqp:, kafka: and sqs:
                  without a host bring up a server for this run
  --orders N      only the first N purchases, by date (default all)
  --processes N   the consumers of all groups run in N processes of their own (default: all in this one)
  --kill N        kills N of them in the middle (SIGKILL); the others take over
  --replace       for each one that is killed another one begins
  --restarts N    kills the broker in the middle N times (SIGKILL), and starts it again; not sqs:
  --json          prints one line of JSON instead of the report
  --help          this text

Examples:
  npm start
  npm start -- --orders 5000
  npm start -- --broker redis:
  npm start -- --broker amqp://guest:guest@127.0.0.1:5672
  npm start -- --broker sqs: --orders 5000
  npm start -- --broker redis: --restarts 3
  npm start -- --broker redis: --processes 4 --kill 2 --restarts 3
  npm start -- --broker kafka: --processes 4 --kill 2 --replace --restarts 3
  npm start -- --json

Ends with 0 where everything held, 1 where something did not, 2 where an option is wrong.`

export interface Options {
  readonly help: boolean
  readonly json: boolean
  readonly broker: string
  readonly orders: number
  /** 0: all in this one. */
  readonly processes: number
  readonly kills: number
  readonly replace: boolean
  readonly restarts: number
}

/** @throws {Error} naming the option that is wrong. */
export function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string', default: 'memory:' },
      orders: { type: 'string', default: 'all' },
      processes: { type: 'string' },
      kill: { type: 'string' },
      replace: { type: 'boolean', default: false },
      restarts: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { broker, help, json, replace } = values
  const options = {
    broker,
    help,
    json,
    replace,
    orders: values.orders === 'all' ? Infinity : wholeNumber('orders', values.orders),
    processes: wholeNumber('processes', values.processes),
    kills: wholeNumber('kill', values.kill),
    restarts: wholeNumber('restarts', values.restarts),
  }
  checkTogether(options)
  return options
}

function checkTogether({ broker, processes, kills, replace, restarts }: Options): void {
  if (processes > 0 && /^memory:/i.test(broker))
    throw new Error('--processes: memory: lives in one process. Give --broker redis: or another server.')
  if (kills > 0 && kills >= processes)
    throw new Error(`--kill ${kills}: one must be left to take over. Give --processes ${kills + 1} or more.`)
  if (replace && kills === 0) throw new Error('--replace: nobody is killed. Give --kill N too.')
  if (restarts > 0 && ownService(broker) === undefined)
    throw new Error(
      '--restarts: kills only a server that this run brought up itself. Give --broker redis:, without a host.',
    )
  if (restarts > 0 && ownService(broker) === 'sqs')
    throw new Error(
      '--restarts: the server that sqs: brings up, ElasticMQ, has its queues in memory: killed it loses them. Give --broker kafka: or another.',
    )
}

function wholeNumber(name: string, text: string | undefined): number {
  if (text === undefined) return 0
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name}: expected a whole number from 1, got '${text}'`)
  return Number(text)
}
