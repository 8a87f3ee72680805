// The one owner of tokens: nothing else settles or extends. It keeps the leases, sends settlements in batches, and repeats
// what failed until the broker has it or the delivery is lost.
import type { Delivery, Feed, Result, Settlement } from '../adapter.ts'
import type { Clock } from '../clock.ts'
import { createDeadlines, type Due } from '../deadlines.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import {
  abortFlight,
  createFlight,
  type Flight,
  type FlightEvent,
  type FlightOwner,
  type FlightState,
  transition,
} from './flight.ts'
import { createHeld } from './held.ts'
import type { Progress } from './progress.ts'
import { within } from '../within.ts'

export interface FlightsOptions {
  readonly clock: Clock
  readonly feed: Feed
  readonly renewable: boolean
  /** A settlement was refused; it is repeated. Undefined: the last one worked again. */
  readonly onTrouble: (error: PolybusError | undefined) => void
  /** A settlement got no answer at all: the feed is worth nothing. */
  readonly onHung: (error: PolybusError) => void
  readonly onLost: (flight: Flight, before: FlightState, reason: PolybusError) => void
}

export interface Flights extends FlightOwner {
  /** `atMs`: when it was received, by the clock. */
  accept(delivery: Delivery, key: string | undefined, bytes: number, progress: Progress, atMs: number): Flight
  lose(tokens: readonly unknown[], reason: PolybusError): void
  loseAll(reason: PolybusError): void
  /** Of these tokens those that are held. */
  of(tokens: readonly unknown[]): readonly Flight[]
  all(): readonly Flight[]
  readonly size: number
  readonly bytes: number
}

const SETTLES_AT_ONCE = 4
const BATCH = 1000
const SETTLE_MS = 30_000
const RETRY_FIRST_MS = 50
const RETRY_MAX_MS = 5000
/** A lease is renewed when a third of it is over, so that two renewals may fail. */
const RENEW_AFTER = 1 / 3
const TRY_AFTER = 1 / 10

export function createFlights(options: FlightsOptions): Flights {
  const { clock, feed } = options
  const extend = options.renewable && feed.extend ? feed.extend.bind(feed) : undefined
  const flights = createHeld()
  let outbox: Flight[] = []
  let underWay = 0
  let flushing = false
  let bytes = 0
  let troubled = false
  let renewals: Flight[] = []

  // ---- leases
  const wheel = createDeadlines<Flight>(clock, (flight) => {
    if (flight.leaseEndsAt <= clock.now())
      return lost(flight, new PolybusError('LEASE_LOST', 'The lease ran out before it could be renewed.'))
    const now = clock.now()
    // After a failure what is left shrinks: a part of the whole keeps the tries apart.
    flight.renewAt = now + Math.max((flight.leaseEndsAt - now) * RENEW_AFTER, flight.leaseMs * TRY_AFTER)
    if (renewals.length === 0) queueMicrotask(renew)
    renewals.push(flight)
  })
  const granted = (flight: Flight, ms: number, now: number): void => {
    flight.leaseMs = ms
    flight.leaseEndsAt = now + ms
    flight.renewAt = now + ms * RENEW_AFTER
  }
  const watch = (flight: Flight): void => {
    const { leaseEndsAt, renewAt } = flight
    if (leaseEndsAt !== Infinity) wheel.add(flight, extend ? Math.min(renewAt, leaseEndsAt) : leaseEndsAt)
  }
  const renew = (): void => {
    const batch = renewals.filter(
      (flight) => flight.state !== 'settling' && flight.state !== 'gone' && flight.state !== 'lost',
    )
    renewals = []
    if (!extend || batch.length === 0) return
    for (const flight of batch) flight.extending = true
    const left = Math.min(...batch.map(({ leaseEndsAt }) => leaseEndsAt)) - clock.now()
    within(clock, left, (signal) =>
      extend(
        batch.map(({ delivery }) => delivery.token),
        { signal },
      ),
    )
      .catch((error: unknown) =>
        batch.map((): Result<number> => ({ ok: false, error: asPolybusError(error, 'CONNECTION_FAILED') })),
      )
      .then((results) => {
        for (const [index, flight] of batch.entries()) renewed(flight, results[index])
        flush()
      })
      .catch(options.onTrouble as (error: unknown) => void)
  }
  const renewed = (flight: Flight, result: Result<number> | undefined): void => {
    flight.extending = false
    // Settled meanwhile: the answer means nothing, and the settlement has waited for it.
    if (flight.state === 'settling') return void outbox.push(flight)
    if (flight.state === 'gone' || flight.state === 'lost') return
    if (result?.ok) {
      granted(flight, result.value, clock.now())
    } else if (result && result.error.code === 'LEASE_LOST') return lost(flight, result.error)
    watch(flight)
  }

  // ---- endings
  const end = (flight: Flight, how: 'gone' | 'lost'): void => {
    wheel.remove(flight)
    if (flights.remove(flight)) bytes -= flight.bytes
    const { ended, wake } = flight
    flight.ended = flight.wake = undefined
    if (how === 'lost') {
      wake?.()
      flight.gathered?.withdraw()
    }
    ended?.(how)
  }
  /** The later ones of its key go back: the next one would overtake what somebody else is given again. */
  const lost = (flight: Flight, reason: PolybusError): void => {
    if (flight.key !== undefined)
      for (const other of laterOfKey(flight))
        if (other.state === 'queued') finish(other, { token: other.delivery.token, kind: 'release' })
    loseThese([flight], reason)
  }
  const laterOfKey = (flight: Flight): readonly Flight[] => {
    const later: Flight[] = []
    for (let other = flight.heldNext; other; other = other.heldNext) if (other.key === flight.key) later.push(other)
    return later
  }
  /** All of them first: a key that one of them leaves must not start another one of them. */
  const loseThese = (list: readonly Flight[], reason: PolybusError): void => {
    const before = list.map(({ state }) => state)
    const gone = list.map((flight) => apply(flight, 'lose'))
    for (const [index, flight] of list.entries()) {
      if (!gone[index]) continue
      abortFlight(flight, reason)
      end(flight, 'lost')
    }
    for (const [index, flight] of list.entries())
      if (gone[index]) options.onLost(flight, before[index] as FlightState, reason)
  }
  const apply = (flight: Flight, event: FlightEvent): boolean => {
    const next = transition(flight.state, event)
    if (next === undefined) return false
    flight.state = next
    return true
  }

  // ---- settlements
  /**
   * One that hangs breaks the feed, all others with it: so one signal does for all. Where each batch had its own, with a timer
   * and a listener that knew it, what had been settled stayed alive until a full collection.
   */
  const hung = new AbortController()
  const limits = createDeadlines<Due>(clock, () => {
    const error = new PolybusError('CONNECTION_FAILED', `The broker did not answer within ${SETTLE_MS} ms.`)
    hung.abort(error)
    options.onTrouble(error)
    options.onHung(error)
  })
  const flush = (): void => {
    if (flushing || outbox.length === 0 || underWay >= SETTLES_AT_ONCE) return
    flushing = true
    queueMicrotask(() => {
      flushing = false
      while (outbox.length > 0 && underWay < SETTLES_AT_ONCE) {
        const batch = (outbox.length <= BATCH ? outbox : outbox.slice(0, BATCH)).filter(
          ({ state }) => state === 'settling',
        )
        outbox = outbox.length <= BATCH ? [] : outbox.slice(BATCH)
        if (batch.length === 0) continue
        underWay++
        void settleBatch(batch)
      }
    })
  }
  const settleBatch = async (batch: Flight[]): Promise<void> => {
    let results: readonly Result<void>[] | undefined
    let failure: PolybusError | undefined
    const limit: Due = { dueAt: 0, duePrevious: undefined, dueNext: undefined, dueListed: false }
    limits.add(limit, clock.now() + SETTLE_MS)
    try {
      results = await feed.settle(
        batch.map(({ settlement }) => settlement as Settlement),
        { signal: hung.signal },
      )
    } catch (error) {
      failure = asPolybusError(error, 'CONNECTION_FAILED')
    }
    limits.remove(limit)
    underWay--
    let trouble = failure
    for (let index = 0; index < batch.length; index++) {
      const flight = batch[index] as Flight
      const result = results?.[index]
      if (result?.ok) {
        if (apply(flight, 'settled')) end(flight, 'gone')
        continue
      }
      const error =
        result?.error ??
        failure ??
        new PolybusError('CONNECTION_FAILED', 'The adapter gave no result for a settlement.')
      if (error.code === 'LEASE_LOST') lost(flight, error)
      else {
        trouble = error
        again(flight)
      }
    }
    if (trouble || troubled) options.onTrouble(trouble)
    troubled = trouble !== undefined
    flush()
  }
  /** The source stays unsettled: lease renewed, and once more after a while. */
  const again = (flight: Flight): void => {
    if (!apply(flight, 'unsettled')) return
    flight.settleTries++
    watch(flight)
    const delayMs =
      Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(flight.settleTries - 1, 10)) * (0.5 + Math.random() / 2)
    wait(flight, delayMs, () => finish(flight, flight.settlement as Settlement))
  }
  const finish = (flight: Flight, settlement: Settlement): void => {
    if (!apply(flight, 'settle')) return
    flight.settlement = settlement
    // The timer goes too: it would keep the process alive.
    const { wake } = flight
    flight.wake = undefined
    wake?.()
    wheel.remove(flight)
    if (flight.extending) return
    outbox.push(flight)
    flush()
  }
  const wait = (flight: Flight, delayMs: number, resume: () => void): void => {
    const timer = clock.timer(delayMs, () => wake())
    const wake = (): void => {
      timer.cancel()
      if (flight.wake !== wake) return
      flight.wake = undefined
      if (flight.state === 'waiting') resume()
    }
    flight.wake = wake
  }

  const owner: Flights = {
    accept(delivery, key, size, progress, atMs) {
      const { token, leaseMs } = delivery
      const flight = createFlight(owner, delivery, key, size, progress)
      // The broker gave it again although we hold it: the older one is no longer ours.
      const twin = flights.twin(token)
      if (twin) lost(twin, new PolybusError('LEASE_LOST', 'The broker handed the delivery out again.'))
      flights.add(flight)
      bytes += size
      if (leaseMs === null) return flight
      granted(flight, leaseMs, atMs)
      if (leaseMs <= 0) lost(flight, new PolybusError('LEASE_LOST', 'The lease was over when the delivery arrived.'))
      else watch(flight)
      return flight
    },
    apply,
    wait,
    finish,
    lose(tokens, reason) {
      loseThese(flights.find(tokens), reason)
    },
    loseAll(reason) {
      loseThese(flights.all(), reason)
    },
    of: flights.find,
    all: flights.all,
    get size() {
      return flights.size
    },
    get bytes() {
      return bytes
    },
  }
  return owner
}
