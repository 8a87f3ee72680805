import type { Call, PolybusError, Result, Settlement } from '@polybus/core'
import { leaseLost } from './errors.ts'
import { type Hands, OK } from './hands.ts'
import type { Held, Token } from './held.ts'
import type { Layout } from './layout.ts'
import { copyAll, type Move } from './moves.ts'
import type { Session } from './session.ts'

export interface SettleOptions {
  readonly session: Session
  readonly layout: Layout
  readonly hands: Hands
  readonly held: Held
  readonly settled: (token: Token) => void
  /** SQS says that it is no longer ours. */
  readonly lost: (token: Token) => void
}

/** Copies that are confirmed, then what is finished, and what goes back. */
export function createSettle({
  session,
  layout,
  hands,
  held,
  settled,
  lost,
}: SettleOptions): (batch: readonly Settlement[], call: Call) => Promise<readonly Result<void>[]> {
  return async (batch, call) => {
    const results = new Map<Settlement, Result<void>>()
    const take = (list: readonly Settlement[], answers: readonly Result<void>[]): void => {
      for (const [index, settlement] of list.entries()) {
        const token = settlement.token as Token
        const result = answers[index] as Result<void>
        results.set(settlement, result)
        if (result.ok) settled(token)
        else if (result.error.code === 'LEASE_LOST') lost(token)
        else held.unsettled(token)
      }
    }
    const finish = async (list: readonly Settlement[]): Promise<void> => {
      if (list.length > 0)
        take(
          list,
          await hands.finish(
            list.map(({ token }) => token as Token),
            call,
          ),
        )
    }
    const moveAll = async (list: readonly Move[]): Promise<void> => {
      if (list.length === 0) return
      const failures = await copyAll(
        session,
        layout,
        list.filter(({ token }) => !(token as Token).copied),
        call,
      )
      // A lease that ran out meanwhile: somebody else may have it by now. The copy stays.
      const now = session.link.clock.now()
      const [ours, late] = split(list, ({ token }) => (token as Token).endsAt > now)
      take(late, late.map(lostOf))
      const [copied, uncopied] = split(ours, (move) => !failures.has(move))
      take(
        uncopied,
        uncopied.map((move) => ({ ok: false, error: failures.get(move) as PolybusError })),
      )
      await finish(copied)
    }
    const [ours, late] = split(batch, ({ token }) => (token as Token).live)
    for (const settlement of late) results.set(settlement, lostOf(settlement))
    for (const { token } of ours) held.settling(token as Token)
    const releases = ours.filter(({ kind }) => kind === 'release')
    await Promise.all([
      finish(ours.filter(({ kind }) => kind === 'ack')),
      moveAll(ours.filter((settlement) => settlement.kind === 'move')),
      releases.length > 0 &&
        hands
          .release(
            releases.map(({ token }) => token as Token),
            call,
          )
          .then((answers) => take(releases, answers)),
    ])
    return batch.map((settlement) => results.get(settlement) ?? OK)
  }
}

const lostOf = ({ token }: Settlement): Result<void> => ({
  ok: false,
  error: leaseLost((token as Token).position),
})

function split<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const [yes, no]: [T[], T[]] = [[], []]
  for (const item of items) (test(item) ? yes : no).push(item)
  return [yes, no]
}
