// What became of the purchases: from the ledger's rows and the publishers' journals, and from nothing that a process only said.
import type { Confirmed } from './journal.ts'
import type { FaultKind, Lane } from './schedule.ts'

/** A row of the ledger. */
export interface Effect {
  readonly seq: number
  readonly customer: string
  /** The process. */
  readonly by: string
  /** When it was written, in milliseconds since 1970. It was committed some time later. */
  readonly at: number
}
/** A fault that was done. Times in milliseconds since 1970. */
export interface Incident {
  readonly lane: Lane
  readonly kind: FaultKind
  readonly at: number
  /** The end of the outage; of a killed process: when its successor was started. */
  readonly until: number
  /** The process that was killed, and the one that came after it. */
  readonly killed?: string
  readonly successor?: string
}
export interface Evidence {
  readonly confirmed: ReadonlyMap<number, Confirmed>
  /** In the order in which they were written. */
  readonly effects: readonly Effect[]
  readonly deadLetters: ReadonlySet<number>
  readonly duplicatesAbsorbed: number
  readonly incidents: readonly Incident[]
  readonly store: 'transactional' | 'claim'
}
export interface Spread {
  readonly count: number
  readonly median: number
  readonly max: number
}
export interface Account {
  /** Publishes that the broker has confirmed. */
  readonly published: number
  /** Purchases with an effect. */
  readonly handled: number
  /** Rows of the ledger. */
  readonly effects: number
  readonly duplicatesAbsorbed: number
  readonly deadLetters: number
  /** Confirmed, and neither with an effect nor a dead letter. */
  readonly lost: readonly number[]
  /** Effects beyond the first, each with its purchase. */
  readonly doubleEffects: readonly number[]
  /** Those of them that a claim store cannot prevent, by what came between the effect and its completion. */
  readonly inTheGap: { readonly killed: number; readonly storeAway: number }
  /** Purchases whose first effect came after that of a later one of the same customer. */
  readonly orderViolations: readonly number[]
  /** By kind of fault, in milliseconds. */
  readonly recoveryMs: Readonly<Partial<Record<FaultKind, Spread>>>
  /** Faults after which nothing came any more: the run was at its end. */
  readonly unanswered: number
  readonly ok: boolean
}

/** Between an effect and its completion lie milliseconds, on a busy machine more: so much later a process's end explains nothing. */
const GAP_MS = 1000

export function accountOf(evidence: Evidence): Account {
  const { confirmed, effects, deadLetters, store, incidents, duplicatesAbsorbed } = evidence
  const first = new Map<number, Effect>()
  const doubles: { readonly seq: number; readonly before: Effect }[] = []
  const latest = new Map<string, number>()
  const last = new Map<number, Effect>()
  const orderViolations: number[] = []
  for (const effect of effects) {
    const { seq, customer } = effect
    const before = last.get(seq)
    last.set(seq, effect)
    if (before) {
      doubles.push({ seq, before })
      continue
    }
    first.set(seq, effect)
    if (seq < (latest.get(customer) ?? -1)) orderViolations.push(seq)
    else latest.set(customer, seq)
  }
  const lost = [...confirmed.keys()].filter((seq) => !first.has(seq) && !deadLetters.has(seq))
  const reasons = doubles.map(({ before }) => (store === 'claim' ? gapOf(before, incidents) : undefined))
  const recovered = incidents.map((incident) => ({ kind: incident.kind, ms: recoveryOf(incident, evidence) }))
  return {
    published: confirmed.size,
    handled: first.size,
    effects: effects.length,
    duplicatesAbsorbed,
    deadLetters: deadLetters.size,
    lost,
    doubleEffects: doubles.map(({ seq }) => seq),
    inTheGap: {
      killed: reasons.filter((reason) => reason === 'killed').length,
      storeAway: reasons.filter((reason) => reason === 'store-away').length,
    },
    orderViolations,
    recoveryMs: spreads(recovered),
    unanswered: recovered.filter(({ ms }) => ms === undefined).length,
    ok: lost.length === 0 && orderViolations.length === 0 && reasons.every((reason) => reason !== undefined),
  }
}

/** What kept the completion of an effect from being recorded, if we know of it. */
function gapOf({ at, by }: Effect, incidents: readonly Incident[]): 'killed' | 'store-away' | undefined {
  if (incidents.some(({ killed, at: end }) => killed === by && end >= at && end - at <= GAP_MS)) return 'killed'
  return incidents.some(({ lane, at: start, until }) => lane === 'store' && at >= start - GAP_MS && at <= until)
    ? 'store-away'
    : undefined
}

/**
 * Of a process: from its end to the first effect, or the first confirmed publish, of its successor. Of all else: from the
 * fault's beginning to the first effect after its end.
 */
function recoveryOf({ kind, at, until, successor }: Incident, { effects, confirmed }: Evidence): number | undefined {
  const moments =
    kind === 'kill-publisher'
      ? [...confirmed.values()].filter(({ by }) => by === successor).map((one) => one.at)
      : effects.filter(({ by }) => kind !== 'kill-consumer' || by === successor).map((one) => one.at)
  const next = moments.reduce((soonest, moment) => (moment > until && moment < soonest ? moment : soonest), Infinity)
  return Number.isFinite(next) ? next - at : undefined
}

function spreads(all: readonly { kind: FaultKind; ms: number | undefined }[]): Partial<Record<FaultKind, Spread>> {
  const result: Partial<Record<FaultKind, Spread>> = {}
  for (const kind of new Set(all.map((one) => one.kind))) {
    const times = all
      .flatMap((one) => (one.kind === kind && one.ms !== undefined ? [one.ms] : []))
      .sort((a, b) => a - b)
    const [median, max] = [times[Math.floor((times.length - 1) / 2)], times.at(-1)]
    if (median !== undefined && max !== undefined) result[kind] = { count: times.length, median, max }
  }
  return result
}
