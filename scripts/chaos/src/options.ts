// What can be said on the command line.
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { ownService } from '@polybus/example-orders/own-broker'

export const HELP = `Publishes real purchases and charges each into a ledger, in processes of their own, while publishers and consumers are
killed (SIGKILL), the broker is killed and started again, connections are cut and the store goes away. Then it stops
doing so, waits until all is handled, and gives an account: published, handled, effects, duplicates absorbed, lost,
double effects, order, recovery times.

Usage: npm run chaos -- --broker URL --store STORE [options]

  --broker URL     kafka:, amqp:, redis: and sqs: bring up a server for this run, which is killed and started again;
                   sqs: has its queues in memory, so it is refused and paused instead, as is a server that is yours:
                   kafka://host:port, amqp://user:password@host:port, redis://host:port, sqs://host:port.
                   kafka: with sessions of 3 s, so that a group outlives faults of this density
  --client NAME    kafka: alone: platformatic instead of kafkajs. Of a server that is yours its URL says it, ?client=platformatic
  --store STORE    postgres or sqlite: transactional, the charge is written through the handler's tx;
                   redis: claims, the charge is inserted beside it. Servers are brought up for this run
  --minutes N      how long faults go on (default 2); 0.5 is half a minute
  --seed N         repeats the schedule of faults of an earlier run (default: any; it is printed)
  --processes N    consumer processes (default 3)
  --publishers N   publisher processes (default 2)
  --rate N         purchases a second, all publishers together (default 200; sqs: 60)
  --dry-run        prints the schedule, and does nothing
  --report FILE    appends the account to a Markdown file
  --json           one JSON object on the last line
  --help           this text

Examples:
  npm run chaos -- --broker kafka: --store postgres --minutes 2
  npm run chaos -- --broker amqp: --store postgres --seed 42 --report chaos.md
  npm run chaos -- --broker redis: --store sqlite --minutes 0.5 --json
  npm run chaos -- --broker sqs: --store redis
  npm run chaos -- --broker kafka: --store postgres --seed 42 --dry-run

The same options and the same seed give the same schedule. Ends with 0 where nothing was lost or out of order and nothing had
two effects (with the redis store: none outside of the gap that claims leave, see docs/guide/idempotency.md), 1 where
something was, 2 where an option is wrong, 3 where a server cannot be had on this machine.`

/** Libraries that Kafka's adapter works over. */
export const CLIENTS = ['kafkajs', 'platformatic'] as const
export type ClientName = (typeof CLIENTS)[number]
export const STORES = ['postgres', 'sqlite', 'redis'] as const
export type StoreName = (typeof STORES)[number]

export interface Options {
  readonly help: boolean
  readonly broker: string
  /** Of a broker that is brought up. Undefined: the adapter's default. */
  readonly client: ClientName | undefined
  readonly store: StoreName
  readonly minutes: number
  readonly seed: number
  readonly consumers: number
  readonly publishers: number
  /** A second. */
  readonly rate: number
  readonly dryRun: boolean
  readonly report: string | undefined
  readonly json: boolean
}

const MAX_SEED = 2 ** 32 - 1

/** @throws {Error} naming the option that is wrong. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      broker: { type: 'string' },
      client: { type: 'string' },
      store: { type: 'string' },
      minutes: { type: 'string', default: '2' },
      seed: { type: 'string' },
      processes: { type: 'string', default: '3' },
      publishers: { type: 'string', default: '2' },
      rate: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
      report: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { help, json, report } = values
  const dryRun = values['dry-run']
  const broker = help ? '' : checkBroker(values.broker)
  const seed = values.seed === undefined ? randomInt(MAX_SEED) : wholeNumber('seed', values.seed, 0, MAX_SEED)
  const minutes = Number(values.minutes)
  if (!(minutes >= 0.1 && minutes <= 24 * 60))
    throw new Error(`--minutes: expected a number from 0.1 to 1440, got '${values.minutes}'.`)
  const rate = values.rate ?? (/^sqs:/i.test(broker) ? '60' : '200')
  return {
    help,
    json,
    report,
    dryRun,
    broker,
    client: checkClient(values.client, broker),
    seed,
    minutes,
    store: help ? 'postgres' : checkStore(values.store),
    consumers: wholeNumber('processes', values.processes, 1, 50),
    publishers: wholeNumber('publishers', values.publishers, 1, 50),
    rate: wholeNumber('rate', rate, 1, 100_000),
  }
}

function checkBroker(url: string | undefined): string {
  if (url === undefined) throw new Error('--broker: which one? kafka:, amqp:, redis: or sqs:, or the URL of a server.')
  const scheme = /^[a-z]+(?=:)/i.exec(url)?.[0].toLowerCase() ?? ''
  if (scheme === 'memory') throw new Error('--broker memory: lives in one process. Give redis:, amqp:, kafka: or sqs:.')
  if (scheme === 'rediss' || scheme === 'amqps')
    throw new Error(`--broker ${scheme}: its connections go through a proxy, whose name its certificate does not have.`)
  if (!['redis', 'amqp', 'kafka', 'sqs'].includes(scheme))
    throw new Error('--broker: expected a URL that starts with kafka:, amqp:, redis: or sqs:.')
  if (ownService(url) === undefined && !/^[a-z]+:\/\/[^/?]*[^/?@]/i.test(url))
    throw new Error(
      `--broker ${scheme}: without a host it takes nothing else. Give ${scheme}: or ${scheme}://host:port.`,
    )
  if (scheme === 'sqs' && ownService(url) === undefined && !/^sqs:\/\/[^/?]*:\d+/i.test(url))
    throw new Error(
      '--broker sqs: connections to AWS cannot be cut from here. Give sqs: or sqs://host:port of an emulator.',
    )
  return url
}

function checkClient(name: string | undefined, broker: string): ClientName | undefined {
  if (name === undefined) return undefined
  if (ownService(broker) !== 'kafka') throw new Error('--client: goes with --broker kafka: alone.')
  const found = CLIENTS.find((client) => client === name)
  if (found === undefined) throw new Error(`--client: expected ${CLIENTS.join(' or ')}, got '${name}'.`)
  return found
}

function checkStore(name: string | undefined): StoreName {
  const found = STORES.find((store) => store === name)
  if (found === undefined)
    throw new Error(`--store: expected ${STORES.join(', ')}, got ${name === undefined ? 'nothing' : `'${name}'`}.`)
  return found
}

function wholeNumber(name: string, text: string, low: number, high: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < low || value > high)
    throw new Error(`--${name}: expected a whole number from ${low} to ${high}, got '${text}'.`)
  return value
}
