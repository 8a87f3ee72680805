// Does what the schedule says, each lane by itself.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Incident } from './account.ts'
import type { Crew } from './crew.ts'
import type { Fault, Lane } from './schedule.ts'
import type { Broker, Store } from './servers.ts'

export interface Victims {
  readonly publishers: Crew
  readonly consumers: Crew
  readonly broker: Broker
  readonly store: Store
}
export interface Trouble {
  /** What was done, by time. */
  readonly incidents: readonly Incident[]
  /** Faults whose turn did not come: what its lane had to do before took longer. */
  readonly skipped: number
}

const SWALLOWED = 3

/**
 * Resolves when the time is over and everything is there again. A fault waits for the one before it in its lane, since a server
 * starts as fast as the machine lets it; what has not begun when the time is over is left out.
 *
 * @param tell hears of each as it begins.
 */
export async function makeTrouble(
  schedule: readonly Fault[],
  victims: Victims,
  durationMs: number,
  tell: (fault: Fault) => void,
): Promise<Trouble> {
  const start = performance.now()
  const incidents: Incident[] = []
  let skipped = 0
  const work = async (lane: Lane): Promise<void> => {
    for (const fault of schedule.filter((one) => one.lane === lane)) {
      await sleep(Math.max(0, start + fault.atMs - performance.now()))
      if (performance.now() - start > durationMs) {
        skipped++
        continue
      }
      tell(fault)
      const at = Date.now()
      const who = await doOne(fault, victims)
      incidents.push({ lane, kind: fault.kind, at, until: Date.now(), ...who })
    }
  }
  await Promise.all([...(['publishers', 'consumers', 'broker', 'store'] as const).map(work), sleep(durationMs)])
  return { incidents: incidents.sort((a, b) => a.at - b.at), skipped }
}

async function doOne(
  { kind, target, forMs }: Fault,
  { publishers, consumers, broker: { proxy, server }, store }: Victims,
): Promise<Pick<Incident, 'killed' | 'successor'>> {
  switch (kind) {
    case 'kill-publisher':
    case 'kill-consumer': {
      const crew = kind === 'kill-publisher' ? publishers : consumers
      const killed = await crew.kill(target)
      await sleep(forMs)
      return { killed, successor: crew.replace(target) }
    }
    case 'kill-broker':
      await server?.kill()
      await sleep(forMs)
      await server?.start()
      return {}
    case 'refuse':
      proxy.down()
      await sleep(forMs)
      await proxy.up()
      return {}
    case 'pause':
      proxy.pause()
      await sleep(forMs)
      proxy.resume()
      return {}
    case 'cut':
      proxy.cut()
      return {}
    case 'swallow-answers':
      proxy.cutAnswers(SWALLOWED)
      await sleep(forMs)
      proxy.cutAnswers(0)
      return {}
    case 'store-away':
      await store.away(forMs)
      return {}
  }
}
