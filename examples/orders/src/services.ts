// Stand-ins for the systems behind the six groups. Each call takes a few milliseconds, as a call over a network would.
import { setTimeout as sleep } from 'node:timers/promises'
import { isAway, isDeclined, timesOut } from './life.ts'
import type { Purchase } from './purchases.ts'
import type { Group } from './groups.ts'

/**
 * A request to one of them. Each knows its requests by `key`, as payment providers do: one that comes again, because whoever
 * asked did not live to hear the answer, has no second effect.
 */
export type Service = (order: Purchase, key: string, attempt: number) => Promise<void>
export type ServiceName = 'charge' | 'reserve' | 'confirm' | 'pack' | 'count' | 'score'
export type Services = Readonly<Record<ServiceName, Service>>

/** A request that was served, as the service itself saw it. */
export interface Served {
  readonly group: Group
  /** The order's number. */
  readonly order: number
  readonly attempt: number
  readonly ms: number
  /** `repeated`: it was done before. */
  readonly outcome: 'done' | 'repeated' | 'refused'
}

export interface OutsideWorld {
  readonly services: Services
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

/** Who asks each, and how long a request takes in milliseconds. */
const WORK: Readonly<Record<ServiceName, { readonly group: Group; readonly ms: number }>> = {
  charge: { group: 'charge', ms: 3 },
  reserve: { group: 'inventory', ms: 2 },
  confirm: { group: 'email', ms: 2 },
  pack: { group: 'warehouse', ms: 2 },
  count: { group: 'analytics', ms: 1 },
  score: { group: 'fraud', ms: 2 },
}

/** All six together, in milliseconds. */
export const LATENCY_MS: number = Object.values(WORK).reduce((sum, { ms }) => sum + ms, 0)

export const groupOf = (service: ServiceName): Group => WORK[service].group

/** @param tell hears of every request, at the moment of its effect. */
export function openServices(tell: (served: Served) => void): OutsideWorld {
  let cardsFixed = false
  let chargedCents = 0

  const service = (name: ServiceName, act: (order: Purchase, attempt: number) => void = () => {}): Service => {
    const { group, ms } = WORK[name]
    const done = new Set<string>()
    return async (order, key, attempt) => {
      const start = performance.now()
      await sleep(ms)
      let outcome: Served['outcome'] = 'refused'
      try {
        if (done.has(key)) {
          outcome = 'repeated'
          return
        }
        act(order, attempt)
        done.add(key)
        outcome = 'done'
      } finally {
        tell({ group, order: order.number, attempt, ms: performance.now() - start, outcome })
      }
    }
  }

  return {
    services: {
      charge: service('charge', (order, attempt) => {
        if (timesOut(order) && attempt === 1) throw new GatewayTimeout('no answer in time')
        if (isDeclined(order) && !cardsFixed)
          throw new CardDeclined(`the card of customer ${order.customer} has expired`)
        chargedCents += order.cents
      }),
      confirm: service('confirm', (order, attempt) => {
        if (isAway(order, attempt)) throw new ProviderAway('connection refused')
      }),
      reserve: service('reserve'),
      pack: service('pack'),
      count: service('count'),
      score: service('score'),
    },
    fixCards() {
      cardsFixed = true
    },
    get chargedCents() {
      return chargedCents
    },
  }
}
