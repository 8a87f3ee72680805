// A process that publishes its share of the purchases. What the broker confirms is written down before anything else; a successor
// goes on with the rest, under the same ids.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from 'polybus'
import { connectBy } from './access.ts'
import { obey, persist, type Running } from './child.ts'
import { openJournal, readJournal } from './journal.ts'
import type { PublisherOrders } from './protocol.ts'
import { type Charge, charges, shareOf } from './purchases.ts'

/** Unconfirmed at once. */
const WINDOW = 200
const POLL_MS = 5
/** What could not be published in time is not made up for. */
const LATE_MS = 500

async function start(orders: PublisherOrders): Promise<Running> {
  const { access, namespace, name, index, publishers, rate } = orders
  const before = readJournal(orders.journal)
  const journal = openJournal(orders.journal, name)
  const bus = await persist(() =>
    connectBy(access, {
      namespace,
      service: 'shop',
      // Longer than all that is done to the broker: an order given up is one that others of the customer overtake.
      publishing: { timeout: '10m' },
    }),
  )
  let stopping = false
  const inFlight = new Set<Promise<void>>()

  const publish = async (charge: Charge): Promise<void> => {
    journal.started(charge.seq)
    await persistently(bus, charge)
    journal.confirmed(charge.seq)
  }
  /** What a predecessor has begun is finished in any case: it may be on the broker. */
  let begun = [...before.started].filter((seq) => !before.confirmed.has(seq)).length
  const work = async (): Promise<void> => {
    let due = performance.now()
    for (const charge of shareOf(index, publishers)) {
      if (before.confirmed.has(charge.seq)) continue
      const isBegun = before.started.has(charge.seq)
      while (inFlight.size >= WINDOW || (!isBegun && !stopping && performance.now() < due)) await sleep(POLL_MS)
      if (stopping && begun === 0) return
      if (isBegun) begun--
      due = Math.max(due + 1000 / rate, performance.now() - LATE_MS)
      const publishing = publish(charge).finally(() => inFlight.delete(publishing))
      inFlight.add(publishing)
    }
  }
  const working = work()
  working.catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
  return {
    async stop() {
      stopping = true
      await working
      await Promise.all(inFlight)
      journal.close()
      await bus.close()
    },
  }
}

const persistently = (bus: Bus, charge: Charge): Promise<unknown> =>
  persist(() => bus.publish(charges, charge, { id: String(charge.seq) }))

obey(start)
