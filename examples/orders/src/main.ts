// A checkout like a real shop's: every purchase is published once, and six groups do their part of the work.
import type { RunningBroker } from '@polybus/brokers'
import { type Bus, connect, type DeadLetter, PolybusError } from 'polybus'
import { checkout } from './checkout.ts'
import { type Crew, openCrew } from './crew.ts'
import { accessBroker } from './foreign.ts'
import { type Group, GROUPS } from './groups.ts'
import { type Ledger, openLedger } from './ledger.ts'
import { HELP, type Options, readOptions } from './options.ts'
import { findPlace } from './own-broker.ts'
import { paceOn } from './pace.ts'
import { type Purchase, readPurchases } from './purchases.ts'
import { count, declined, progressBar, table, verdict, waiting } from './report.ts'
import { openServices } from './services.ts'
import { settled } from './settled.ts'
import { openShop, orders } from './shop.ts'
import { summarize, type Summary } from './summary.ts'
import { type Incident, makeTrouble, outgrow } from './trouble.ts'
import { troubleReport } from './trouble-report.ts'

interface Setting extends Options {
  readonly url: string
  readonly server: RunningBroker | undefined
  readonly say: (text: string) => void
}

async function run({ url, server, say, ...options }: Setting): Promise<Summary> {
  const purchases = readPurchases().slice(0, options.orders)
  const pace = paceOn(url)
  // Few orders don't all fit in: what is done to a run in its middle must not come after it.
  const ledger = openLedger(purchases, Math.min(pace.backlog, Math.ceil(purchases.length / 8)))
  const world = openServices(ledger.served)
  const side = accessBroker(url)
  const incidents: Incident[] = []
  let crew: Crew | undefined

  const bus = await connect({
    broker: side.broker,
    service: 'shop',
    observe: ledger.saw,
    publishing: { timeout: '1m' }, // outlasts a crash of the broker
  })
  try {
    await clear(bus, say)
    if (options.processes > 0) crew = await openCrew(options.processes, url, world.services, ledger)
    else await bus.start(...openShop(world.services, pace.concurrency))
    const where = options.processes > 0 ? ` in ${options.processes} processes` : ''
    say(`${count(purchases.length)} orders, six groups${where}, over ${url.slice(0, url.indexOf(':'))}`)

    if (options.restarts > 0) await outgrow(server)
    const clearBar = progressBar(ledger)
    const failed = new AbortController()
    const trouble = makeTrouble(options, { broker: server, crew }, ledger, (one) => incidents.push(one), failed.signal)
    try {
      const work = Promise.all([checkout(bus, purchases, ledger, side, pace.customers), trouble])
      await (crew ? Promise.race([work, crew.broken]) : work)
      await settled(bus, ledger)
    } finally {
      failed.abort()
      clearBar()
    }
    const seconds = (performance.now() - ledger.startedAt) / 1000
    const deadLetters = await lookAtDeadLetters(bus, ledger)
    say(`\n${table(ledger)}\n\n${waiting(ledger, options.processes)}\n`)

    const charge = ledger.of('charge')
    const letters = charge.letters.filter(({ error }) => error.name === 'CardDeclined')
    say(declined(letters))
    const charged = charge.handled + new Set(letters.map(({ value }) => value?.number)).size
    world.fixCards()
    const replay = await bus.deadLetters(orders, 'charge').replay({ errorName: 'CardDeclined' })
    await settled(bus, ledger, charged)
    // What still runs is finished, and counted.
    await (crew ?? bus).stop()
    await lookAtDeadLetters(bus, ledger)
    say(`The cards were fixed, and replayed: ${count(replay.done)}.\n`)

    const { chargedCents } = world
    const moments = { seconds, deadLetters, replayed: replay.done, chargedCents, incidents, handOvers: crew?.handOvers }
    const summary = summarize(purchases, ledger, moments)
    if (options.processes + options.restarts > 0) say(`${troubleReport(summary)}\n`)
    return summary
  } finally {
    await crew?.stop()
    await bus.close()
    await side.close()
  }
}

/** A broker that keeps messages may have those of an earlier run. */
async function clear(bus: Bus, say: Setting['say']): Promise<void> {
  const clearOne = async (group: Group): Promise<void> => {
    const { backlog, inFlight } = await bus.stats(orders, group)
    const left = (backlog ?? 0) + (inFlight ?? 0)
    if (left > 0)
      throw new Error(
        `An interrupted run left ${count(left)} orders to ${group} on this broker. Empty it, or use another.`,
      )
    const { done } = await bus.deadLetters(orders, group).discard({})
    if (done > 0) say(`Discarded ${count(done)} dead letters that an earlier run left to ${group}.`)
  }
  await Promise.all(GROUPS.map(clearOne))
}

/** Every group's, into the ledger. Returns how many there are. */
async function lookAtDeadLetters(bus: Bus, ledger: Ledger): Promise<number> {
  const lookAtOne = async (group: Group): Promise<number> => {
    const letters: DeadLetter<Purchase>[] = []
    for await (const letter of bus.deadLetters(orders, group).list()) letters.push(letter)
    ledger.of(group).found(letters)
    return letters.length
  }
  const counts = await Promise.all(GROUPS.map(lookAtOne))
  return counts.reduce((sum, each) => sum + each, 0)
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
    const { url, broker: server, end } = await findPlace(options.broker, say)
    try {
      const summary = await run({ ...options, url, server, say })
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
