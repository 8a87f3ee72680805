import type { ChannelSpec } from '@polybus/core'
import type { Env, Mode } from './env.ts'
import type { Facts } from './facts.ts'
import type { Fault } from './harness.ts'

/** `driver`: the adapter alone on its seam; `plain`: the contract through a bus; `fault`: while something is broken. */
export type Tier = 'driver' | 'plain' | 'fault'

/** A case creates one situation; the ledger judges it afterwards. */
export interface Case {
  /** Its number in the list of promises, and a letter: `4b`. */
  readonly id: string
  readonly title: string
  readonly tier: Tier
  /** Why it does not apply, or `undefined`. */
  readonly needs?: (facts: Facts) => string | undefined
  /** It stops the world (kills the server, blocks the event loop, counts time or memory closely), so nothing runs beside it. */
  readonly alone?: true
  /** Every message must be settled in the end. Default: true for all but faults. */
  readonly settles?: boolean
  /** How long it may take where that is more than {@link Timing.caseMs}. */
  readonly limitMs?: Readonly<Partial<Record<Mode, number>>>
  run(env: Env): Promise<void>
}

/** Thrown by {@link leaveOut}. */
export class LeftOut extends Error {}

/** For what only shows in the middle of a case: it is counted as left out, with the reason. */
export function leaveOut(reason: string): never {
  throw new LeftOut(reason)
}

export const spec = (name: string, keyed: boolean, groups: readonly string[] = []): ChannelSpec => ({
  name,
  keyed,
  partitions: undefined,
  groups,
  maxBytes: 256 * 1024,
})

export type Need = (facts: Facts) => string | undefined

/** The first reason counts. */
export const all =
  (...needs: readonly Need[]): Need =>
  (facts) => {
    for (const need of needs) {
      const reason = need(facts)
      if (reason !== undefined) return reason
    }
    return undefined
  }

/** The harness can cause these faults. */
export const faults =
  (...names: readonly Fault[]): Need =>
  (facts) => {
    const missing = names.filter((name) => !facts.faults[name])
    return missing.length > 0 ? `the harness has no fault ${missing.join(', ')}` : undefined
  }

/** The adapter declares it. `what` is the name of the capability, for the reason. */
export const able =
  (what: string, test: (facts: Facts) => boolean): Need =>
  (facts) =>
    test(facts) ? undefined : `the adapter declares no ${what}`

export const foreign: Need = (facts) => (facts.foreign ? undefined : 'the harness has no foreign producer')
export const ordering: Need = able('ordering', ({ keyed }) => keyed.ordering)
/** Lanes are created, and each has one owner: not shared by whoever asks. */
export const assignedLanes: Need = able('lanes with an owner', ({ keyed }) => keyed.ordering && keyed.lease.ms === null)
export const browsing: Need = able('browse', ({ plain }) => plain.browse !== 'none')
export const processes: Need = able('processes', ({ plain }) => plain.processes)
/** A delivery stays ours for as long as a handler runs. */
export const holds: Need = able('lease renewal', ({ plain }) => plain.lease.ms === null || plain.lease.renewable)
