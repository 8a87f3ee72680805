// A running consumer: what the feed loop brings goes to the scheduler, through an attempt, and to its outcome.
import type { Adapter, Capabilities, Delivery, Feed } from '../adapter.ts'
import type { BusEvent, Drift, Logger } from '../api.ts'
import type { Clock, Timer } from '../clock.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { Attempt } from './attempt.ts'
import { startAtMostOnce } from './at-most-once.ts'
import type { ConsumerDefinition } from './consumer.ts'
import { type AttemptResult, decide, type DecidePolicy, type Outcome } from './decide.ts'
import { createDrift } from './drift.ts'
import { createFeedLoop, type Link } from './feed-loop.ts'
import type { Flight } from './flight.ts'
import type { Flights } from './flights.ts'
import { createLeaving } from './leaving.ts'
import { createOutcomes } from './outcomes.ts'
import type { Parked, Place } from './parked.ts'
import { createPrefetch } from './prefetch.ts'
import { failedOnce, type Progress, readProgress } from './progress.ts'
import { createSuspects } from './suspects.ts'
import { createScheduler } from './scheduler.ts'
import type { Unrun } from './unrun.ts'

export interface SubscriptionOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly definition: ConsumerDefinition
  readonly capabilities: Capabilities
  readonly concurrency: number
  /** How many may be in flight: at first, and while handlers are fast. */
  readonly prefetch: { readonly least: number; readonly most: number }
  /** How many may be with a handler or on their way to one: those that sit out a wait do not count. */
  readonly ahead: number
  readonly maxBytes: number
  readonly from: 'beginning' | 'end'
  readonly policy: DecidePolicy
  readonly attempt: Attempt
  /** Of order-preserving dead letters. */
  readonly parked: Parked | undefined
  readonly unrun: Unrun
  /** Hand-overs after which a message runs alone. */
  readonly suspectAfter: number
  readonly onFeed: (feed: Feed) => void
  /** Handlers past their time-out that still run. */
  readonly overdue: () => number
  /** Why the idempotency store could not be written, while it can't. */
  readonly storeTrouble: () => PolybusError | undefined
  readonly link: Link
  readonly log: Logger
  readonly emit: (event: BusEvent) => void
}

export interface RunningSubscription {
  /** Resolves when it receives for the first time; rejects where it never will. */
  readonly started: Promise<void>
  pause(): void
  resume(): void
  stop(graceMs: number): Promise<void>
  reasons(): readonly { readonly down: boolean; readonly text: string }[]
  /** Of what it could not read; undefined where it could read everything. */
  drift(): Drift | undefined
  readonly stopped: boolean
}

/** Of what a message costs beside its body. */
const MESSAGE_OVERHEAD_BYTES = 256
const BUG_MS = 1000
/** A few places at a time, so that the next receive is worth its round trip. */
const REFILL_BELOW = 0.75

export function createSubscription(options: SubscriptionOptions): RunningSubscription {
  const { adapter, clock, definition, capabilities, policy, attempt, maxBytes, ahead } = options
  const channel = definition.channel.spec
  const { group } = definition
  const name = `${channel.name}/${group}`
  const atMostOnce = definition.delivery === 'at-most-once'
  const prefetch = createPrefetch(clock, options.prefetch.least, options.prefetch.most)
  const stopping = new AbortController()
  const isStopping = (): boolean => stopping.signal.aborted
  /** At-most-once: handlers that run for what is no longer in flight. */
  const acknowledged = new Set<Flight>()
  let paused = false
  let roomWaiter: (() => void) | undefined
  let gateTimer: Timer | undefined
  let troubles = 0
  let storeError: PolybusError | undefined
  let stopped: Promise<void> | undefined

  const event = (kind: BusEvent['kind'], error?: unknown): void => {
    const fields = { kind, channel: channel.name, group }
    options.emit(error === undefined ? fields : { ...fields, error })
  }

  // ---- room
  const inFlight = (): number => loop.flights?.size ?? 0
  const places = (): number => {
    if (paused || gateTimer !== undefined || (loop.flights?.bytes ?? 0) >= maxBytes) return 0
    // What is taken now would be counted once more if one of them kills the process.
    if (scheduler.suspects > 0 && !suspects.gathering) return 0
    return Math.min(prefetch.now - inFlight(), ahead === Infinity ? Infinity : ahead - notWaiting())
  }
  const notWaiting = (): number => {
    let count = 0
    for (const { state } of loop.flights?.all() ?? []) if (state !== 'waiting') count++
    return count
  }
  const hasRoom = (): boolean => places() > 0
  const ended = (): void => {
    if (scheduler.suspects > 0) scheduler.wake()
    if (roomWaiter && inFlight() <= prefetch.now * REFILL_BELOW && hasRoom()) roomWaiter()
    leaving.ended()
  }
  const gone = (): void => {
    prefetch.ended()
    ended()
  }
  const room = (): Promise<void> => {
    if (isStopping() || hasRoom()) return Promise.resolve()
    return new Promise((resolve) => {
      roomWaiter = () => {
        roomWaiter = undefined
        resolve()
      }
    })
  }
  /** A store or a registry is away: nothing starts until it may be back. */
  const shut = (delayMs: number, error: PolybusError | undefined): void => {
    storeError = error
    if (gateTimer || isStopping()) return
    if (troubles === 0 && error)
      options.log.warn(
        { channel: channel.name, group, err: describeError(error) },
        'consuming is paused until it is back',
      )
    troubles++
    scheduler.gate(false)
    gateTimer = clock.timer(delayMs, () => {
      gateTimer = undefined
      if (!isStopping()) scheduler.gate(!paused)
      ended()
    })
  }

  // ---- the way of a delivery
  const accept = (delivery: Delivery, flights: Flights, atMs: number): void => {
    const { message } = delivery
    const progress = readProgress(message)
    const bytes = (message.body?.byteLength ?? 0) + MESSAGE_OVERHEAD_BYTES
    const flight = flights.accept(delivery, keyOf(delivery), bytes, progress, atMs)
    flight.ended = gone
    if (flight.state !== 'queued') return
    suspects.examine(flight)
    if (isStopping()) outcomes.giveBack(flight)
    else if (progress.delayMs > 0) outcomes.delayFurther(flight)
    else scheduler.add(flight)
  }
  /** At most once on a log: a position is durable only when all before it are, so a lane's messages go one by one. */
  const keyOf = ({ message, lane }: Delivery): string | undefined =>
    atMostOnce && capabilities.settlement === 'prefix' ? lane : channel.keyed ? message.key : undefined

  const start = (flight: Flight): void => {
    flight.owner.apply(flight, 'start')
    flight.abort = flight.abortReason = undefined
    if (atMostOnce)
      return startAtMostOnce(flight, {
        attempt,
        scheduler,
        conclude: (result) => conclude(flight, result),
        event,
        ended,
        acknowledged,
      })
    attempt.run(flight, conclude)
  }
  const conclude = (flight: Flight, result: AttemptResult): void => {
    const mine = flight.state === 'running'
    try {
      if (mine) {
        flight.progress = progressAfter(result, flight.progress, flight.delivery.position)
        if (result.kind === 'refused') drift.note(flight, result)
        const outcome = decide(result, flight.progress.made, troubles, policy)
        if (troubles > 0 && result.kind !== 'unavailable' && result.kind !== 'busy') {
          troubles = 0
          storeError = undefined
        }
        const place = outcome.kind === 'dead-letter' ? options.parked?.placeOf(flight) : undefined
        if (place && options.parked) return void block(flight, place, options.parked, outcome)
        outcomes.perform(flight, outcome)
      }
    } catch (error) {
      bug(error)
      // Whatever it was: the message is tried again, and its lease is not renewed for nothing.
      outcomes.perform(flight, { kind: 'retry', delayMs: BUG_MS, wait: 'held', error })
    }
    leave(flight, mine)
  }
  const leave = (flight: Flight, mine: boolean): void => {
    // What was lost or given back meanwhile kept its slot and key until here.
    if (!mine || flight.state !== 'waiting') scheduler.leaveKey(flight)
    scheduler.leaveSlot()
    ended()
  }
  /** The line first, then the dead letter. Until then it keeps its key: the next one must find the line. */
  const block = async (flight: Flight, place: Place, parked: Parked, outcome: Outcome): Promise<void> => {
    const how = await parked.block(place)
    if (how === 'head') {
      flight.progress = { ...flight.progress, line: place.id }
      outcomes.perform(flight, outcome)
    } else if (how === 'parked') outcomes.perform(flight, { kind: 'park' })
    leave(flight, how !== undefined)
  }
  const progressAfter = (result: AttemptResult, progress: Progress, position: string): Progress => {
    if (result.kind !== 'failed' && result.kind !== 'refused') return progress
    const failed = failedOnce(progress, new Date(clock.wall()).toISOString(), position)
    // What cannot be read has failed at its first attempt, and at its last; what was not even tried has made none.
    const tried = result.kind === 'failed' || result.reason === 'undecodable' || result.reason === 'invalid'
    return tried ? failed : { ...failed, made: progress.made }
  }
  const bug = (error: unknown): void =>
    options.log.error(
      { channel: channel.name, group, err: describeError(error) },
      'a bug in Polybus: an outcome could not be carried out',
    )

  const stop = async (graceMs: number): Promise<void> => {
    stopping.abort(new PolybusError('CLOSED', 'The consumer is stopping.'))
    gateTimer?.cancel()
    suspects.stop()
    scheduler.gate(false)
    roomWaiter?.()
    void loop.drain()
    await leaving.stop(graceMs)
    await loop.close()
  }

  const drift = createDrift(channel.name, group, clock)
  const suspects = createSuspects({
    clock,
    unrun: options.unrun,
    after: options.suspectAfter,
    flights: () => loop.flights?.all() ?? [],
    wake: () => scheduler.wake(),
  })
  const scheduler = createScheduler(options.concurrency, start, { calm: suspects.calm })
  const outcomes = createOutcomes({ channel, group, capabilities, policy, scheduler, isStopping, event, shut })
  const leaving = createLeaving({
    clock,
    scheduler,
    outcomes,
    flights: () => loop.flights?.all() ?? [],
    inFlight,
    acknowledged,
  })
  const loop = createFeedLoop({
    adapter,
    clock,
    link: options.link,
    source: {
      channel,
      group,
      from: options.from,
      maxInFlight: options.prefetch.most,
      maxBytes,
      durable: atMostOnce,
      transactional: options.definition.delivery === 'transactional',
    },
    renewable: capabilities.lease.renewable,
    stopping: stopping.signal,
    log: options.log,
    event,
    places,
    room,
    wake: () => roomWaiter?.(),
    onFeed: options.onFeed,
    accept,
    onLost: (flight, before) => {
      if (before === 'queued' && capabilities.crashGuard !== null) options.unrun.note(flight.delivery)
      // A running one leaves its key when its handler ends.
      if (before !== 'running') scheduler.leaveKey(flight)
    },
    onRevoke: leaving.revoke,
  })

  return {
    started: loop.started,
    pause() {
      paused = true
      scheduler.gate(false)
    },
    resume() {
      paused = false
      if (!gateTimer && !isStopping()) scheduler.gate(true)
      ended()
    },
    stop: (graceMs) => (stopped ??= stop(graceMs)),
    drift: drift.read,
    reasons() {
      if (isStopping()) return []
      const reasons = [...loop.reasons()]
      const add = (text: string): void => void reasons.push({ down: false, text: `${name}: ${text}` })
      const trouble = options.storeTrouble()
      if (storeError) add(`consuming is paused: ${storeError.message}`)
      else if (trouble) add(`the idempotency store fails: ${trouble.message}`)
      if (options.overdue() > 0) add(`${options.overdue()} handlers are past their time-out and still run`)
      return reasons
    },
    get stopped() {
      return isStopping()
    },
  }
}
