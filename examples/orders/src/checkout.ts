// The customers at the checkout: each publishes an order and waits until the broker has it.
import type { Bus } from 'polybus'
import type { BrokerAccess } from './broker-access.ts'
import type { Ledger } from './ledger.ts'
import { isRepeated, MALFORMED } from './life.ts'
import type { Purchase } from './purchases.ts'
import { orders } from './shop.ts'

/** Publishes every purchase once, in order, with its number as the message's id, and lets life happen. */
export async function checkout(
  bus: Bus,
  purchases: Purchase[],
  ledger: Ledger,
  side: BrokerAccess,
  atOnce: number,
): Promise<void> {
  // Whoever is free serves the next in line. Polybus keeps the order of the calls of `publish`, key by key.
  const line = purchases.entries()
  const third = Math.max(1, Math.floor(purchases.length / MALFORMED.length))
  const serve = async (): Promise<void> => {
    for (;;) {
      // Looked at by each before it takes the next in line: whoever waited in between would be overtaken.
      while (ledger.full) await ledger.room()
      const next = line.next()
      if (next.done) return
      const [index, order] = next.value
      const id = String(order.number)
      await ledger.place(order, () => bus.publish(orders, order, { id }))
      if (isRepeated(order)) await bus.publish(orders, order, { id })
      const malformed = MALFORMED[index / third]
      if (malformed !== undefined) await ledger.malform(() => side.produce(orders.name, malformed))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, serve))
}
