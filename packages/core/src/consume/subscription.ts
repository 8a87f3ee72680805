// A running consumer: pulls from the feed with room, hands deliveries to the scheduler, and turns outcomes into settlements.
import type { Adapter, Capabilities, Delivery, Destination, Feed, Source } from '../adapter.ts'
import type { BusEvent, Logger } from '../api.ts'
import { type Clock, sleep, type Timer } from '../clock.ts'
import { asPolybusError, describeError, PolybusError } from '../errors.ts'
import { isPromise } from '../schema.ts'
import type { Attempt } from './attempt.ts'
import { startAtMostOnce } from './at-most-once.ts'
import type { ConsumerDefinition } from './consumer.ts'
import { type AttemptResult, decide, type DecidePolicy, type Outcome } from './decide.ts'
import { nextHop } from './delay.ts'
import { abortFlight, type Flight, onEnded } from './flight.ts'
import { createFlights, type Flights } from './flights.ts'
import { deadLetterHeaders, failedOnce, progressHeaders, readProgress } from './progress.ts'
import { createScheduler } from './scheduler.ts'
import { createStallDetector } from './stall.ts'

/** The part of the supervisor that a subscription needs. */
export interface Link {
  /** Resolves when connected and the channel's topology is there; undefined when the signal aborts first. */
  up(signal: AbortSignal): Promise<number | undefined>
  /** Something broke in that generation. */
  broken(error: PolybusError, generation: number): void
}

export interface SubscriptionOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly definition: ConsumerDefinition
  readonly capabilities: Capabilities
  readonly concurrency: number
  readonly maxInFlight: number
  readonly maxBytes: number
  readonly from: 'beginning' | 'end'
  readonly policy: DecidePolicy
  readonly attempt: Attempt
  /** Handlers past their time-out that still run. */
  readonly overdue: () => number
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
  readonly stopped: boolean
}

const RECEIVE_MAX = 500
/** Of what a message costs beside its body. */
const MESSAGE_OVERHEAD_BYTES = 256
const SETTLE_AFTER_GRACE_MS = 1000

export function createSubscription(options: SubscriptionOptions): RunningSubscription {
  const { adapter, clock, definition, capabilities, policy, attempt, link, emit } = options
  const channel = definition.channel.spec
  const { group } = definition
  const name = `${channel.name}/${group}`
  const atMostOnce = definition.delivery === 'at-most-once'
  const stopping = new AbortController()
  const scheduler = createScheduler(options.concurrency, (flight) => start(flight))
  const owners = new WeakMap<Flight, Flights>()
  let flights: Flights | undefined
  let feed: Feed | undefined
  let paused = false
  let roomWaiter: (() => void) | undefined
  let idleWaiter: (() => void) | undefined
  let gateTimer: Timer | undefined
  let troubles = 0
  let storeError: PolybusError | undefined
  let settleError: PolybusError | undefined
  let feedError: PolybusError | undefined
  let stopped: Promise<void> | undefined
  let markStarted: () => void = () => {}
  let markFailed: (error: PolybusError) => void = () => {}
  const started = new Promise<void>((resolve, reject) => {
    markStarted = resolve
    markFailed = reject
  })
  started.catch(() => {})

  const event = (kind: BusEvent['kind'], error?: unknown): void => emit(error === undefined ? { kind, channel: channel.name, group } : { kind, channel: channel.name, group, error })
  const flightsOf = (flight: Flight): Flights => owners.get(flight) as Flights
  const isStopping = (): boolean => stopping.signal.aborted

  // ---- from the feed
  const hasRoom = (): boolean => !paused && gateTimer === undefined && flights !== undefined && flights.size < options.maxInFlight && flights.bytes < options.maxBytes
  const ended = (): void => {
    // A few places at a time, so that the next receive is worth its round trip.
    if (roomWaiter && hasRoom() && (flights as Flights).size <= options.maxInFlight * 0.75) roomWaiter()
    if (idleWaiter && scheduler.running === 0 && (flights?.size ?? 0) === 0) idleWaiter()
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

  const accept = (delivery: Delivery, into: Flights): void => {
    const { message } = delivery
    const progress = readProgress(message)
    const flight = into.accept(delivery, channel.keyed ? message.key : undefined, (message.body?.byteLength ?? 0) + MESSAGE_OVERHEAD_BYTES, progress)
    owners.set(flight, into)
    flight.ended = ended
    if (flight.state !== 'queued') return
    if (isStopping()) return giveBack(flight)
    if (progress.delayMs > 0) return delayFurther(flight)
    scheduler.add(flight)
  }
  /** A rung or a hop of a longer delay is over; what remains is the broker's again, or short enough to hold. */
  const delayFurther = (flight: Flight): void => {
    const { delayMs } = flight.progress
    if (nextHop(delayMs, capabilities.delay) && delayMs >= policy.heldBelowMs) return release(flight, delayMs)
    flight.progress = { ...flight.progress, delayMs: 0 }
    if (!flightsOf(flight).apply(flight, 'wait')) return
    flightsOf(flight).wait(flight, delayMs, () => {
      if (flightsOf(flight).apply(flight, 'requeue')) scheduler.add(flight)
    })
  }

  // ---- attempt and outcome
  const start = (flight: Flight): void => {
    flightsOf(flight).apply(flight, 'start')
    flight.abort = flight.abortReason = undefined
    if (atMostOnce) return startAtMostOnce(flight, { attempt, scheduler, settle: (settlement) => flightsOf(flight).settle(flight, settlement), conclude: (result) => conclude(flight, result), event, ended })
    const result = attempt.run(flight)
    if (isPromise(result)) result.then((settled) => conclude(flight, settled)).catch(bug)
    else conclude(flight, result)
  }
  const bug = (error: unknown): void => options.log.error({ channel: channel.name, group, err: describeError(error) }, 'a bug in Polybus: an outcome could not be carried out')

  const conclude = (flight: Flight, result: AttemptResult): void => {
    const mine = flight.state === 'running'
    if (mine) {
      if (result.kind === 'failed') flight.progress = failedOnce(flight.progress, new Date(clock.wall()).toISOString(), flight.delivery.position)
      else if (result.kind === 'refused' && flight.progress.firstFailedAt === undefined) {
        const now = new Date(clock.wall()).toISOString()
        flight.progress = { ...flight.progress, firstFailedAt: now, lastFailedAt: now, origin: flight.delivery.position }
      }
      const outcome = decide(result, flight.progress.made, troubles, policy)
      if (result.kind !== 'unavailable' && result.kind !== 'busy' && troubles > 0) {
        troubles = 0
        storeError = undefined
      }
      perform(flight, outcome)
    }
    // What was lost or given back meanwhile kept its slot and key until here.
    if (!mine || flight.state !== 'waiting') scheduler.leaveKey(flight)
    scheduler.leaveSlot()
    ended()
  }

  const perform = (flight: Flight, outcome: Outcome): void => {
    const own = flightsOf(flight)
    switch (outcome.kind) {
      case 'ack':
        if (outcome.duplicate) event('duplicate')
        return own.settle(flight, { token: flight.delivery.token, kind: 'ack' })
      case 'retry':
        event('retry', outcome.error)
        if (outcome.wait === 'released') return release(flight, outcome.delayMs)
        return hold(flight, outcome.delayMs)
      case 'postpone':
        if (outcome.gate) shut(outcome.delayMs, outcome.error)
        return hold(flight, outcome.delayMs)
      case 'dead-letter':
        return own.settle(flight, {
          token: flight.delivery.token,
          kind: 'move',
          to: { kind: 'dead-letter', channel: channel.name, group },
          headers: deadLetterHeaders(flight.progress, foreignId(flight), outcome.reason, outcome.error),
        })
      case 'discard':
        return own.settle(flight, { token: flight.delivery.token, kind: 'ack' })
    }
  }
  const hold = (flight: Flight, delayMs: number): void => {
    if (isStopping() || flight.revoked) return giveBack(flight)
    const own = flightsOf(flight)
    if (!own.apply(flight, 'wait')) return
    own.wait(flight, delayMs, () => {
      if (own.apply(flight, 'requeue')) scheduler.resume(flight)
    })
  }
  /** The wait is the broker's: a copy that comes back to this group alone. */
  const release = (flight: Flight, delayMs: number): void => {
    const hop = nextHop(delayMs, capabilities.delay) ?? { delayMs: 0, restMs: 0 }
    const to: Destination = { kind: 'group', channel: channel.name, group, delayMs: hop.delayMs }
    flightsOf(flight).settle(flight, { token: flight.delivery.token, kind: 'move', to, headers: progressHeaders({ ...flight.progress, delayMs: hop.restMs }, foreignId(flight)) })
  }
  /** Back to the broker unfinished, with its count of attempts wherever that can travel. */
  const giveBack = (flight: Flight): void => {
    const { token, message } = flight.delivery
    const counted = flight.progress.made > readProgress(message).made
    if (!counted) return flightsOf(flight).settle(flight, { token, kind: 'release' })
    if (capabilities.releaseHeaders) return flightsOf(flight).settle(flight, { token, kind: 'release', headers: progressHeaders(flight.progress, foreignId(flight)) })
    // A key's order matters more than the count: the broker then hands it out as new.
    if (capabilities.ordering && channel.keyed) return flightsOf(flight).settle(flight, { token, kind: 'release' })
    if (capabilities.delay.kind === 'none') return flightsOf(flight).settle(flight, { token, kind: 'release' })
    release(flight, 0)
  }
  const foreignId = (flight: Flight): string | undefined => flight.foreignId ?? (flight.delivery.message.source === undefined ? flight.delivery.message.id : undefined)

  /** A store or a registry is away: nothing starts until it may be back. */
  const shut = (delayMs: number, error: PolybusError | undefined): void => {
    storeError = error
    if (gateTimer) return
    troubles++
    scheduler.gate(false)
    gateTimer = clock.timer(delayMs, () => {
      gateTimer = undefined
      if (!isStopping()) scheduler.gate(!paused)
      ended()
    })
  }

  // ---- the loop over feeds
  const run = async (): Promise<void> => {
    let failures = 0
    while (!isStopping()) {
      const generation = await link.up(stopping.signal)
      if (generation === undefined || isStopping()) break
      let received = false
      try {
        await serve(() => {
          received = true
          feedError = undefined
          markStarted()
        })
        failures = 0
      } catch (error) {
        if (isStopping()) break
        const cause = asPolybusError(error, 'FEED_BROKEN')
        feedError = cause
        if (cause.code === 'UNSUPPORTED' || cause.code === 'INVALID_OPTION') return markFailed(cause)
        options.log.warn({ channel: channel.name, group, err: describeError(cause) }, 'the subscription broke and is made anew')
        event('reconnect', cause)
        link.broken(cause, generation)
        failures = received ? 1 : failures + 1
        await sleep(clock, Math.min(5000, 50 * 2 ** Math.min(failures, 8)) * (0.5 + Math.random() / 2), stopping.signal)
      }
    }
  }

  const serve = async (onReceiving: () => void): Promise<void> => {
    const broken = new AbortController()
    let fail: (error: PolybusError) => void = () => {}
    const breakUp = (error: PolybusError): void => {
      broken.abort(error)
      fail(error)
    }
    const ask = { signal: AbortSignal.any([stopping.signal, broken.signal]) }
    const source: Source = {
      channel, group, from: options.from, maxInFlight: options.maxInFlight, maxBytes: options.maxBytes, durable: atMostOnce,
      onLost: (tokens) => own.lose(tokens, new PolybusError('LEASE_LOST')),
      onRevoke: (tokens) => revoke(tokens.map((token) => own.of(token)).filter((flight) => flight !== undefined)),
    }
    const current = await adapter.subscribe(source, ask)
    const own = createFlights({
      clock,
      feed: current,
      renewable: capabilities.lease.renewable,
      onTrouble: (error) => {
        settleError = error
        if (error) options.log.warn({ channel: channel.name, group, err: describeError(error) }, 'a delivery could not be settled and is tried again')
      },
      onLost: (flight, before, reason) => {
        event('lost', reason)
        // A running one leaves its key when its handler ends.
        if (before !== 'running') scheduler.leaveKey(flight)
      },
    })
    feed = current
    flights = own
    const stall = createStallDetector({ clock, feed: current, free: () => hasRoom() && own.size === 0, signal: ask.signal, onStall: (error) => { event('stall', error); stalled = true; breakUp(error) }, onIdle: () => { stalled = false } })
    try {
      onReceiving()
      while (!isStopping()) {
        await room()
        if (isStopping()) break
        if (broken.signal.aborted) throw broken.signal.reason
        stall.receiving()
        const deliveries = await new Promise<readonly Delivery[]>((resolve, reject) => {
          fail = reject
          current.receive(Math.min(RECEIVE_MAX, options.maxInFlight - own.size), ask).then(resolve, reject)
        })
        stall.received(deliveries.length)
        if (deliveries.length > 0) stalled = false
        for (let index = 0; index < deliveries.length; index++) accept(deliveries[index] as Delivery, own)
      }
    } catch (error) {
      own.loseAll(asPolybusError(error, 'FEED_BROKEN'))
      await current.close().catch(ignoreClosing)
      throw error
    } finally {
      stall.end()
      fail = () => {}
    }
  }
  const ignoreClosing = (error: unknown): void => options.log.debug({ err: describeError(error) }, 'closing a broken feed failed')
  let stalled = false

  const revoke = (revoked: readonly Flight[]): Promise<void> =>
    new Promise((resolve) => {
      let held = revoked.length
      if (held === 0) return resolve()
      for (const flight of revoked) {
        flight.revoked = true
        onEnded(flight, () => {
          if (--held === 0) resolve()
        })
        if (flight.state === 'queued' || (flight.state === 'waiting' && flight.settlement === undefined)) {
          giveBack(flight)
          scheduler.leaveKey(flight)
        }
      }
    })

  // ---- stop
  const stop = async (graceMs: number): Promise<void> => {
    stopping.abort(new PolybusError('CLOSED', 'The consumer is stopping.'))
    gateTimer?.cancel()
    scheduler.gate(false)
    roomWaiter?.()
    markFailed(new PolybusError('CLOSED', `Consumer '${name}' was stopped before it received.`))
    const drained = feed?.drain?.({ signal: new AbortController().signal }).catch(ignoreClosing)
    for (const flight of [...(flights?.all() ?? [])]) {
      if (flight.state === 'queued') giveBack(flight)
      else if (flight.state === 'waiting') {
        if (flight.settlement) flight.wake?.()
        else giveBack(flight)
      }
    }
    await idle(graceMs)
    for (const flight of [...(flights?.all() ?? [])]) {
      if (flight.state === 'running') {
        abortFlight(flight, new PolybusError('CLOSED', 'The grace time of the stop is over.'))
        giveBack(flight)
      } else if (flight.state === 'waiting') flight.wake?.()
    }
    await idle(SETTLE_AFTER_GRACE_MS, true)
    await Promise.race([Promise.all([loop, drained]), sleep(clock, SETTLE_AFTER_GRACE_MS)])
    flights?.loseAll(new PolybusError('CLOSED', 'The consumer has stopped.'))
    await feed?.close().catch(ignoreClosing)
  }
  /** Until nothing runs and nothing is unsettled, or the time is over. `settled`: handlers that never end don't count. */
  const idle = (limitMs: number, settled = false): Promise<void> =>
    new Promise((resolve) => {
      const done = (): boolean => (settled || scheduler.running === 0) && (flights?.size ?? 0) === 0
      if (done()) return resolve()
      const timer = clock.timer(limitMs, () => finish())
      const finish = (): void => {
        idleWaiter = undefined
        timer.cancel()
        resolve()
      }
      idleWaiter = settled ? () => { if (done()) finish() } : finish
      if (settled) for (const flight of flights?.all() ?? []) onEnded(flight, () => idleWaiter?.())
    })

  const loop = run().catch((error: unknown) => {
    bug(error)
    markFailed(asPolybusError(error, 'FEED_BROKEN'))
  })

  return {
    started,
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
    reasons() {
      const reasons: { down: boolean; text: string }[] = []
      if (isStopping()) return reasons
      if (stalled) reasons.push({ down: true, text: `${name}: stalled: nothing is received although there is a backlog` })
      if (feedError) reasons.push({ down: false, text: `${name}: resubscribing: ${feedError.message}` })
      if (settleError) reasons.push({ down: false, text: `${name}: deliveries cannot be settled: ${settleError.message}` })
      if (storeError) reasons.push({ down: false, text: `${name}: consuming is paused: ${storeError.message}` })
      if (options.overdue() > 0) reasons.push({ down: false, text: `${name}: ${options.overdue()} handlers are past their time-out and still run` })
      return reasons
    },
    get stopped() {
      return isStopping()
    },
  }
}
