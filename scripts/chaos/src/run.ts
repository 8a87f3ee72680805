// One run: everything is brought up, work and trouble go on, then all drains, and the ledger is read.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beginRun } from '@polybus/brokers'
import type { Bus } from 'polybus'
import { connectBy } from './access.ts'
import { accountOf } from './account.ts'
import { type Crew, openCrew } from './crew.ts'
import { drained } from './drain.ts'
import { type Confirmed, readJournal } from './journal.ts'
import { type Ledger, openLedger } from './ledger.ts'
import type { Options } from './options.ts'
import { drawProgress } from './progress.ts'
import type { ConsumerOrders, PublisherOrders } from './protocol.ts'
import { charges, GROUP } from './purchases.ts'
import type { Outcome } from './report.ts'
import type { Fault } from './schedule.ts'
import { type Broker, openBroker, openStore, type Say, type Store } from './servers.ts'
import { makeTrouble } from './trouble.ts'

/** A RabbitMQ node that is killed can lose a queue that is younger than about a second. */
const YOUNG_MS = 2500
/** The longest that publishers may need to have confirmed what they have begun. */
const CONFIRM_LIMIT_MS = 2 * 60_000
const STOP_LIMIT_MS = 45_000

interface Stage {
  readonly options: Options
  readonly folder: string
  readonly broker: Broker
  readonly store: Store
  readonly ledger: Ledger
  readonly bus: Bus
  readonly namespace: string
}

/** @throws {Error} where the run itself could not be made: what it should have shown is then not known. */
export async function runChaos(options: Options, schedule: readonly Fault[], say: Say): Promise<Outcome> {
  const began = new Date()
  const start = performance.now()
  const folder = mkdtempSync(join(tmpdir(), 'polybus-chaos-'))
  const run = beginRun()
  const ends: (() => Promise<unknown>)[] = [() => run.end()]
  let ok = false
  try {
    const broker = await openBroker(options.broker, options.client, say)
    ends.push(() => broker.end())
    const store = await openStore(options.store, folder, say)
    ends.push(() => store.end())
    const ledger = await openLedger(store.place)
    ends.push(() => ledger.close())
    const namespace = `chaos-${randomBytes(4).toString('hex')}`
    const bus = await connectBy(broker.direct, { namespace, service: 'shop', logger: false })
    ends.push(() => bus.close())
    await bus.prepare(charges)
    if (broker.server?.name === 'rabbitmq') await sleep(YOUNG_MS)
    const result = await play({ options, folder, broker, store, ledger, bus, namespace }, schedule, say, ends)
    ok = result.account.ok && result.problems.length === 0
    return { ...result, options, began, seconds: (performance.now() - start) / 1000 }
  } finally {
    for (const end of ends.toReversed()) await end()
    if (ok) rmSync(folder, { recursive: true, force: true })
    else say(`What its processes said is in ${folder}.`)
  }
}

async function play(
  { options, folder, broker, store, ledger, bus, namespace }: Stage,
  schedule: readonly Fault[],
  say: Say,
  ends: (() => Promise<unknown>)[],
): Promise<Pick<Outcome, 'account' | 'trouble' | 'problems'>> {
  const { consumers: size, publishers: writers, minutes, rate } = options
  const access = broker.proxied
  const absorbed = join(folder, 'absorbed')
  writeFileSync(absorbed, '')
  const journalOf = (index: number): string => join(folder, `publisher-${index + 1}.journal`)
  const enter = (crew: Crew): Crew => {
    ends.push(() => crew.end())
    return crew
  }

  const consumers = enter(
    openCrew<ConsumerOrders>({
      program: 'consumer',
      size,
      logs: folder,
      orders: (name) => ({ access, namespace, name, store: store.place, absorbed }),
    }),
  )
  await consumers.ready
  const publishers = enter(
    openCrew<PublisherOrders>({
      program: 'publisher',
      size: writers,
      logs: folder,
      orders: (name, index) => ({
        access,
        namespace,
        name,
        index,
        publishers: writers,
        rate: rate / writers,
        journal: journalOf(index),
      }),
    }),
  )
  await publishers.ready
  say(`${size} consumers and ${writers} publishers are at work; what goes wrong from now on is meant.`)

  const durationMs = minutes * 60_000
  const progress = drawProgress(durationMs)
  const trouble = await makeTrouble(schedule, { publishers, consumers, broker, store }, durationMs, progress.fault)
  progress.phase('publishers finish what they have begun')
  const problems: string[] = []
  for (const name of await publishers.stop(CONFIRM_LIMIT_MS))
    problems.push(
      `${name} could not have everything confirmed within ${CONFIRM_LIMIT_MS / 1000} s after the last fault`,
    )

  const confirmed = new Map<number, Confirmed>()
  for (let index = 0; index < writers; index++)
    for (const [seq, one] of readJournal(journalOf(index)).confirmed) confirmed.set(seq, one)
  const kind = options.store === 'redis' ? 'claim' : 'transactional'
  const left = await drained({
    bus,
    ledger,
    absorbed,
    store: kind,
    published: confirmed.size,
    say: (handled) => progress.phase(`${handled} of ${confirmed.size} handled`),
  })
  if (left !== undefined) problems.push(left)
  for (const name of await consumers.stop(STOP_LIMIT_MS))
    problems.push(`${name} did not end within ${STOP_LIMIT_MS / 1000} s`)
  progress.end()
  problems.push(...publishers.casualties, ...consumers.casualties)

  const deadLetters = new Set<number>()
  for await (const { value, message } of bus.deadLetters(charges, GROUP).list())
    deadLetters.add(value?.seq ?? Number(message.id))
  const account = accountOf({
    confirmed,
    effects: await ledger.effects(),
    deadLetters,
    duplicatesAbsorbed: statSync(absorbed).size,
    incidents: trouble.incidents,
    store: kind,
  })
  return { account, trouble, problems }
}
