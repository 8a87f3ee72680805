// Giving back: what goes with a lane that moves to another member, and what a stop leaves.
import type { Clock } from '../clock.ts'
import { PolybusError } from '../errors.ts'
import { abortFlight, type Flight, onEnded } from './flight.ts'
import type { Outcomes } from './outcomes.ts'
import type { Scheduler } from './scheduler.ts'

export interface LeavingOptions {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly outcomes: Outcomes
  /** All that is in flight. */
  readonly flights: () => readonly Flight[]
  /** How many that is. */
  readonly inFlight: () => number
  /** At-most-once: handlers that run for what is no longer in flight. */
  readonly acknowledged: Iterable<Flight>
}

export interface Leaving {
  /** These are to go back; resolves when nothing of them is held any more. */
  revoke(revoked: readonly Flight[]): Promise<void>
  /** Lets what runs end, for `graceMs` at most, and gives back the rest. */
  stop(graceMs: number): Promise<void>
  /** A flight or a handler has ended. */
  ended(): void
}

/** For settlements that are on their way when the grace time is over. */
const SETTLE_AFTER_GRACE_MS = 1000

export function createLeaving(options: LeavingOptions): Leaving {
  const { clock, scheduler, outcomes, flights, inFlight, acknowledged } = options
  let idleWaiter: (() => void) | undefined

  const revoke = (revoked: readonly Flight[]): Promise<void> =>
    new Promise((resolve) => {
      let held = revoked.length
      if (held === 0) return resolve()
      const unstarted = revoked.filter(isUnstarted)
      for (const flight of revoked) {
        flight.revoked = true
        onEnded(flight, () => {
          if (--held === 0) resolve()
        })
      }
      for (const flight of unstarted) outcomes.giveBack(flight)
      // Only now: a key that gets free would start its next one, although that is to go back too.
      for (const flight of unstarted) scheduler.leaveKey(flight)
      for (const flight of revoked) withdraw(flight)
    })
  /** It is with the handler, but in a batch that has not begun; or it may come to be. */
  const withdraw = (flight: Flight): void => {
    if (flight.state !== 'running') return
    const whenGathered = (): void => withdraw(flight)
    flight.whenGathered = whenGathered
    if (!flight.gathered) return
    outcomes.giveBack(flight)
    flight.gathered.withdraw()
  }

  const stop = async (graceMs: number): Promise<void> => {
    for (const flight of flights()) {
      if (isUnstarted(flight)) outcomes.giveBack(flight)
      else if (flight.state === 'waiting') flight.wake?.()
      else withdraw(flight)
    }
    await idle(graceMs)
    const over = new PolybusError('CLOSED', 'The grace time of the stop is over.')
    for (const flight of flights()) {
      if (flight.state === 'waiting') flight.wake?.()
      if (flight.state !== 'running') continue
      abortFlight(flight, over)
      outcomes.giveBack(flight)
    }
    await idle(SETTLE_AFTER_GRACE_MS, true)
    for (const flight of acknowledged) {
      abortFlight(flight, over)
      flight.gathered?.withdraw()
    }
  }
  /** Until nothing runs and nothing is unsettled, or the time is over. `settled`: handlers that never end don't count. */
  const idle = (limitMs: number, settled = false): Promise<void> =>
    new Promise((resolve) => {
      const done = (): boolean => (settled || scheduler.running === 0) && inFlight() === 0
      if (done()) return resolve()
      const finish = (): void => {
        idleWaiter = undefined
        timer.cancel()
        resolve()
      }
      const timer = clock.timer(limitMs, finish)
      idleWaiter = () => {
        if (done()) finish()
      }
      if (settled) for (const flight of flights()) onEnded(flight, () => idleWaiter?.())
    })

  return { revoke, stop, ended: () => idleWaiter?.() }
}

/** No handler has it, and nothing is decided about it. */
const isUnstarted = ({ state, settlement }: Flight): boolean =>
  state === 'queued' || (state === 'waiting' && settlement === undefined)
