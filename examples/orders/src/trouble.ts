// What is done to a run on purpose, spread over the checkout by its progress.
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningBroker } from '@polybus/brokers'
import type { Crew } from './crew.ts'
import type { Ledger } from './ledger.ts'

export interface Trouble {
  /** Of the broker. */
  readonly restarts: number
  /** Of consumer processes. */
  readonly kills: number
  /** Another process comes for each that was killed. */
  readonly replace: boolean
}

export type Incident =
  | { readonly kind: 'restart'; readonly atPercent: number; readonly downMs: number }
  | {
      readonly kind: 'kill'
      readonly atPercent: number
      readonly process: number
      readonly successor: number | undefined
    }

export interface Victims {
  readonly broker: RunningBroker | undefined
  readonly crew: Crew | undefined
}

const POLL_MS = 20
const YOUNG_MS = 2000

/** A RabbitMQ node that is killed can lose a queue that is younger than about a second. Waits until none is. */
export async function outgrow(broker: RunningBroker | undefined): Promise<void> {
  if (broker?.name === 'rabbitmq') await sleep(YOUNG_MS)
}

/**
 * Kills the broker and starts it again, and kills processes, by turns and evenly spread. Resolves after the last one.
 *
 * @param tell hears of each as it happens.
 */
export async function makeTrouble(
  trouble: Trouble,
  { broker, crew }: Victims,
  ledger: Ledger,
  tell: (incident: Incident) => void,
  signal: AbortSignal,
): Promise<void> {
  const steps = byTurns(trouble)
  for (const [index, kind] of steps.entries()) {
    const due = (index + 1) / (steps.length + 1)
    // A fast checkout goes on during it, and does not run away from it.
    ledger.hold((index + 1.5) / (steps.length + 1))
    while (ledger.checkedOut() < due) await sleep(POLL_MS, undefined, { signal })
    const atPercent = Math.round(ledger.checkedOut() * 100)
    if (kind === 'kill' && crew)
      tell({ kind, atPercent, process: await crew.kill(), successor: trouble.replace ? crew.join() : undefined })
    if (kind === 'restart' && broker) {
      const start = performance.now()
      await broker.kill()
      await broker.start()
      tell({ kind, atPercent, downMs: Math.round(performance.now() - start) })
    }
  }
  ledger.hold(1)
}

function byTurns({ restarts, kills }: Pick<Trouble, 'restarts' | 'kills'>): Incident['kind'][] {
  const turns = Array.from({ length: Math.max(restarts, kills) }, (_, turn): Incident['kind'][] => [
    ...(turn < restarts ? (['restart'] as const) : []),
    ...(turn < kills ? (['kill'] as const) : []),
  ])
  return turns.flat()
}
