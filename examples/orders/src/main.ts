// A checkout like a real shop's: every purchase is published once, and six groups do their part of the work.
import { parseArgs } from 'node:util'
import { type Bus, connect, type DeadLetter, PolybusError } from 'polybus'
import { checkout } from './checkout.ts'
import { accessBroker } from './foreign.ts'
import { type Ledger, openLedger } from './ledger.ts'
import { findPlace } from './own-broker.ts'
import { type Purchase, readPurchases } from './purchases.ts'
import { count, declined, progressBar, table, verdict, waiting } from './report.ts'
import { openServices } from './services.ts'
import { GROUPS, openShop, orders } from './shop.ts'
import { summarize, type Summary } from './summary.ts'

const HELP = `A shop's checkout on 69,659 real purchases: publishes each once, and charges, mails and ships through six groups.

Usage: npm start -- [options]

  --broker URL   where the messages go (default memory:); redis: and amqp: without a host bring up a server for this run
  --orders N     only the first N purchases, by date (default all)
  --json         prints one line of JSON instead of the report
  --help         this text

Examples:
  npm start
  npm start -- --orders 5000
  npm start -- --broker redis:
  npm start -- --broker amqp://guest:guest@127.0.0.1:5672
  npm start -- --json

Ends with 0 where everything held, 1 where something did not, 2 where an option is wrong.`

interface Options {
  readonly broker: string
  readonly orders: number
  readonly say: (text: string) => void
}

async function run({ broker: url, orders: limit, say }: Options): Promise<Summary> {
  const purchases = readPurchases().slice(0, limit)
  const ledger = openLedger(purchases)
  const services = openServices()
  const side = accessBroker(url)

  const bus = await connect({ broker: side.broker, service: 'shop', use: [ledger.watch], observe: ledger.observe })
  try {
    await clear(bus, say)
    await bus.start(...openShop(services))
    say(`${count(purchases.length)} orders, six groups, over ${url.slice(0, url.indexOf(':'))}`)
    const clearBar = progressBar(ledger)
    try {
      await checkout(bus, purchases, ledger, side)
      await ledger.settled()
    } finally {
      clearBar()
    }
    const seconds = (performance.now() - ledger.startedAt) / 1000
    const deadLetters = await lookAtDeadLetters(bus, ledger)
    say(`\n${table(ledger)}\n\n${waiting(ledger)}\n`)

    say(declined(ledger.of('charge').letters.filter(({ error }) => error.name === 'CardDeclined')))
    services.fixCards()
    const replay = await bus.deadLetters(orders, 'charge').replay({ errorName: 'CardDeclined' })
    ledger.of('charge').replayed(replay.done)
    await ledger.settled()
    await lookAtDeadLetters(bus, ledger)
    say(`The cards were fixed, and replayed: ${count(replay.done)}.\n`)

    return summarize(purchases, ledger, {
      seconds,
      deadLetters,
      replayed: replay.done,
      chargedCents: services.chargedCents,
    })
  } finally {
    await bus.close()
    await side.close()
  }
}

/** A broker that keeps messages may have those of an earlier run. */
async function clear(bus: Bus, say: Options['say']): Promise<void> {
  for (const group of GROUPS) {
    const { backlog, inFlight } = await bus.stats(orders, group)
    const left = (backlog ?? 0) + (inFlight ?? 0)
    if (left > 0)
      throw new Error(
        `An interrupted run left ${count(left)} orders to ${group} on this broker. Empty it, or use another.`,
      )
    const { done } = await bus.deadLetters(orders, group).discard({})
    if (done > 0) say(`Discarded ${count(done)} dead letters that an earlier run left to ${group}.`)
  }
}

/** Every group's, into the ledger. Returns how many there are. */
async function lookAtDeadLetters(bus: Bus, ledger: Ledger): Promise<number> {
  let total = 0
  for (const group of GROUPS) {
    const letters: DeadLetter<Purchase>[] = []
    for await (const letter of bus.deadLetters(orders, group).list()) letters.push(letter)
    ledger.of(group).found(letters)
    total += letters.length
  }
  return total
}

function readOptions(): { help: boolean; json: boolean; broker: string; orders: number } {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string', default: 'memory:' },
      orders: { type: 'string', default: 'all' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.orders !== 'all' && !/^[1-9]\d*$/.test(values.orders))
    throw new Error(`--orders: expected a whole number from 1, got '${values.orders}'`)
  return { ...values, orders: values.orders === 'all' ? Infinity : Number(values.orders) }
}

async function main(): Promise<number> {
  let options
  try {
    options = readOptions()
  } catch (error) {
    console.error(`${(error as Error).message}\nnpm start -- --help lists the options.`)
    return 2
  }
  if (options.help) {
    console.log(HELP)
    return 0
  }
  const say = options.json ? () => {} : (text: string) => console.log(text)
  try {
    const { url, end } = await findPlace(options.broker, say)
    try {
      const summary = await run({ ...options, broker: url, say })
      say(verdict(summary))
      if (options.json) console.log(JSON.stringify(summary))
      return summary.ok ? 0 : 1
    } finally {
      await end()
    }
  } catch (error) {
    console.error((error as Error).message)
    return PolybusError.is(error, 'INVALID_OPTION') ? 2 : 1
  }
}

process.exitCode = await main()
