// What may be killing its process: handed out so often by the broker that it runs alone.
import { createHash } from 'node:crypto'
import type { Delivery } from '../adapter.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Flight } from './flight.ts'
import type { Unrun } from './unrun.ts'

export interface SuspectsOptions {
  readonly clock: Clock
  readonly unrun: Unrun
  /** Hand-overs after which a message runs alone. */
  readonly after: number
  /** All that is in flight. */
  readonly flights: () => Iterable<Flight>
  /** {@link Suspects.calm} may have changed. */
  readonly wake: () => void
}

export interface Suspects {
  /** Marks a delivery that is one. */
  examine(flight: Flight): void
  /** The others that came back with it still come in. */
  readonly gathering: boolean
  /** Whether the first of them may start. */
  calm(): boolean
  stop(): void
}

/** Some brokers hand out one by one what came back at once. */
const GATHER_MS = 250

export function createSuspects({ clock, unrun, after, flights, wake }: SuspectsOptions): Suspects {
  let gathering: Timer | undefined
  return {
    examine(flight) {
      if (!unrun.exceeds(flight.delivery, after)) return
      flight.suspect = suspectPlace(flight.delivery)
      gathering ??= clock.timer(GATHER_MS, () => {
        gathering = undefined
        wake()
      })
    },
    get gathering() {
      return gathering !== undefined
    },
    calm() {
      if (gathering) return false
      // One that is not yet settled would be handed out again with the next one.
      for (const { state } of flights()) if (state === 'settling') return false
      return true
    },
    stop: () => gathering?.cancel(),
  }
}

/**
 * The lowest goes first. All in hand are counted when the process dies, and the only thing that a process knows of those before
 * it is that count. So the order is turned round from one count to the next: of what came back with the one that kills, each
 * goes before it within two processes. Every second count the order is a new one, for where two of them kill, one stands
 * between them whichever way round.
 */
export function suspectPlace({ message, position, count }: Delivery): number {
  const hands = count ?? 0
  const hash = createHash('sha256')
    .update(`${hands >> 1}:${message.id ?? position}`)
    .digest()
    .readInt32BE()
  return hands % 2 === 0 ? hash : -hash
}
