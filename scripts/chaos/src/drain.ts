// When is it over? When every confirmed purchase has its end, and the broker has nothing left that could still have an effect.
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bus, PolybusError } from 'polybus'
import type { Ledger } from './ledger.ts'
import { charges, GROUP } from './purchases.ts'

const POLL_MS = 250
/** A claim whose process died stays for a minute, and SQS holds what a dead consumer had for half a minute. */
const QUIET_MS = { claim: 65_000, transactional: 35_000 } as const
const LIMIT_MS = 5 * 60_000

export interface DrainOptions {
  readonly bus: Bus
  readonly ledger: Ledger
  readonly absorbed: string
  readonly store: keyof typeof QUIET_MS
  readonly published: number
  readonly say: (handled: number) => void
}

/** Answers what never ended, in words; undefined where nothing is left. */
export async function drained({
  bus,
  ledger,
  absorbed,
  store,
  published,
  say,
}: DrainOptions): Promise<string | undefined> {
  const start = performance.now()
  let [last, movedAt] = ['', start]
  for (;;) {
    const { effects, handled } = await ledger.count()
    say(handled)
    const left = await lookAt(bus)
    const seen = `${effects} ${statSync(absorbed).size}`
    const now = performance.now()
    if (seen !== last) [last, movedAt] = [seen, now]
    const isQuiet = now - movedAt > QUIET_MS[store]
    const open = left ? published - handled - left.deadLetters : published - handled
    const waits = left
      ? `backlog ${left.backlog}, in flight ${left.inFlight ?? 'unknown'}`
      : 'the broker does not answer'
    if (
      open <= 0 &&
      left?.backlog === 0 &&
      (left.inFlight === 0 || (left.inFlight === null && (store === 'transactional' || isQuiet)))
    )
      return undefined
    if (isQuiet || now - start > LIMIT_MS)
      return open <= 0
        ? `every purchase has its end, but the broker still counts something (${waits})`
        : `${open} of ${published} purchases have no end (${waits})`
    await sleep(POLL_MS)
  }
}

/** Undefined where it does not answer. */
async function lookAt(
  bus: Bus,
): Promise<{ backlog: number; inFlight: number | null; deadLetters: number } | undefined> {
  try {
    const { backlog, inFlight, deadLetters } = await bus.stats(charges, GROUP)
    return { backlog: backlog ?? 0, inFlight, deadLetters: deadLetters ?? 0 }
  } catch (error) {
    if (error instanceof PolybusError && error.retryable) return undefined
    throw error
  }
}
