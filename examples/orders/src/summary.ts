// Whether it all held, as numbers.
import type { HandOvers } from './hand-overs.ts'
import type { Ledger } from './ledger.ts'
import type { Purchase } from './purchases.ts'
import { GROUPS } from './groups.ts'
import type { Incident } from './trouble.ts'

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
  /** Effects that an order had in a group beyond its first. */
  readonly repeated_effects: number
  /** Requests that came again to a service, which knew them by their key and did nothing. */
  readonly repeated_requests: Readonly<Record<string, number>>
  /** Times the broker was killed and started again. */
  readonly restarts: readonly { readonly at_percent: number; readonly down_ms: number }[]
  /** Processes that were killed. */
  readonly kills: readonly Kill[]
  /** How often a customer's next request, to one service, came from another process than the last one. */
  readonly hand_overs: number
  /** To the services, by the number of the process. */
  readonly requests: Readonly<Record<number, number>>
  readonly ok: boolean
}

export interface Kill {
  readonly process: number
  /** The process that began in its place. */
  readonly successor: number | null
  readonly at_percent: number
  /** Customers of its last second that others served later, each counted in every group. */
  readonly taken_over: number
  /** From its death until the first of them was served again. */
  readonly first_after_ms: number | null
}

/** What is known only at its time: the rest is in the ledger. */
export interface Moments {
  readonly seconds: number
  readonly deadLetters: number
  readonly replayed: number
  readonly chargedCents: number
  readonly incidents: readonly Incident[]
  readonly handOvers: HandOvers | undefined
}

export function summarize(purchases: readonly Purchase[], ledger: Ledger, moments: Moments): Summary {
  const { incidents, handOvers, chargedCents } = moments
  const expectedCents = purchases.reduce((sum, { cents }) => sum + cents, 0)
  const orderViolations = ledger.all.reduce((sum, account) => sum + account.orderViolations, 0)
  const lost = ledger.all.reduce((sum, account) => sum + account.lost, 0)
  const again = ledger.all.reduce((sum, account) => sum + account.again, 0)
  const allHandled = ledger.all.every(({ handled }) => handled === purchases.length)
  return {
    orders: purchases.length,
    customers: new Set(purchases.map(({ customer }) => customer)).size,
    seconds: Number(moments.seconds.toFixed(2)),
    charged_cents: chargedCents,
    expected_cents: expectedCents,
    duplicates_absorbed: ledger.of('charge').absorbed,
    dead_letters: moments.deadLetters,
    replayed: moments.replayed,
    order_violations: orderViolations,
    lost,
    repeated_effects: again,
    repeated_requests: Object.fromEntries(GROUPS.map((group) => [group, ledger.of(group).repeated])),
    restarts: incidents.flatMap((incident) =>
      incident.kind === 'restart' ? [{ at_percent: incident.atPercent, down_ms: incident.downMs }] : [],
    ),
    kills: incidents.flatMap((incident) => (incident.kind === 'kill' ? [toKill(incident, handOvers)] : [])),
    hand_overs: handOvers?.count ?? 0,
    requests: handOvers?.requests ?? {},
    ok: chargedCents === expectedCents && allHandled && orderViolations === 0 && lost === 0 && again === 0,
  }
}

function toKill(
  { process, successor, atPercent }: Incident & { kind: 'kill' },
  handOvers: HandOvers | undefined,
): Kill {
  const taken = handOvers?.takenOver(process)
  return {
    process,
    successor: successor ?? null,
    at_percent: atPercent,
    taken_over: taken?.customers ?? 0,
    first_after_ms: taken?.firstMs === undefined ? null : Math.round(taken.firstMs),
  }
}
