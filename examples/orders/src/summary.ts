// Whether it all held, as numbers.
import type { Ledger } from './ledger.ts'
import type { Purchase } from './purchases.ts'

export interface Summary {
  readonly orders: number
  readonly customers: number
  /** From the first publish until every group was done, without the replay. */
  readonly seconds: number
  readonly charged_cents: number
  readonly expected_cents: number
  /** By charge. */
  readonly duplicates_absorbed: number
  /** Written by all groups before the replay. */
  readonly dead_letters: number
  readonly replayed: number
  readonly order_violations: number
  readonly lost: number
  readonly ok: boolean
}

/** What is known only at its time: the rest is in the ledger. */
export interface Moments {
  readonly seconds: number
  readonly deadLetters: number
  readonly replayed: number
  readonly chargedCents: number
}

export function summarize(purchases: readonly Purchase[], ledger: Ledger, moments: Moments): Summary {
  const expectedCents = purchases.reduce((sum, { cents }) => sum + cents, 0)
  const orderViolations = ledger.all.reduce((sum, account) => sum + account.orderViolations, 0)
  const lost = ledger.all.reduce((sum, account) => sum + account.lost, 0)
  const allHandled = ledger.all.every(({ handled }) => handled === purchases.length)
  return {
    orders: purchases.length,
    customers: new Set(purchases.map(({ customer }) => customer)).size,
    seconds: Number(moments.seconds.toFixed(2)),
    charged_cents: moments.chargedCents,
    expected_cents: expectedCents,
    duplicates_absorbed: ledger.of('charge').absorbed,
    dead_letters: moments.deadLetters,
    replayed: moments.replayed,
    order_violations: orderViolations,
    lost,
    ok: moments.chargedCents === expectedCents && allHandled && orderViolations === 0 && lost === 0,
  }
}
