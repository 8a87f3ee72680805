// Stand-ins for the systems behind the six groups. Each call takes a few milliseconds, as a call over a network would.
import { setTimeout as sleep } from 'node:timers/promises'
import { isAway, isDeclined, timesOut } from './life.ts'
import type { Purchase } from './purchases.ts'

export interface Services {
  charge(order: Purchase, attempt: number): Promise<void>
  reserve(order: Purchase): Promise<void>
  confirm(order: Purchase, attempt: number): Promise<void>
  pack(order: Purchase): Promise<void>
  count(order: Purchase): Promise<void>
  score(order: Purchase): Promise<void>
  /** The bank accepts every card from now on. */
  fixCards(): void
  /** What the payment gateway has collected. */
  readonly chargedCents: number
}

export class GatewayTimeout extends Error {
  override name = 'GatewayTimeout'
}

export class CardDeclined extends Error {
  override name = 'CardDeclined'
}

export class ProviderAway extends Error {
  override name = 'ProviderAway'
}

/** How long a call takes, in milliseconds. */
export const LATENCY_MS = { charge: 3, reserve: 2, confirm: 2, pack: 2, count: 1, score: 2 }

export function openServices(): Services {
  let cardsFixed = false
  let chargedCents = 0
  return {
    async charge(order, attempt) {
      await sleep(LATENCY_MS.charge)
      if (timesOut(order) && attempt === 1) throw new GatewayTimeout('no answer in time')
      if (isDeclined(order) && !cardsFixed) throw new CardDeclined(`the card of customer ${order.customer} has expired`)
      chargedCents += order.cents
    },
    async confirm(order, attempt) {
      await sleep(LATENCY_MS.confirm)
      if (isAway(order, attempt)) throw new ProviderAway('connection refused')
    },
    reserve: () => sleep(LATENCY_MS.reserve),
    pack: () => sleep(LATENCY_MS.pack),
    count: () => sleep(LATENCY_MS.count),
    score: () => sleep(LATENCY_MS.score),
    fixCards() {
      cardsFixed = true
    },
    get chargedCents() {
      return chargedCents
    },
  }
}
