// The life of a subscription's feeds: subscribe, receive while there is room, and make it anew whenever it breaks.
import type { Adapter, Delivery, Feed, Source } from '../adapter.ts'
import type { BusEvent, Logger } from '../api.ts'
import { type Clock, sleep } from '../clock.ts'
import { asPolybusError, describeError, PolybusError } from '../errors.ts'
import { within } from '../within.ts'
import type { Flight, FlightState } from './flight.ts'
import { createFlights, type Flights } from './flights.ts'
import { createStallDetector } from './stall.ts'

/** The part of the supervisor that a subscription needs. */
export interface Link {
  /** Resolves when connected and the channel's topology is there; undefined when the signal aborts first. */
  up(signal: AbortSignal): Promise<number | undefined>
  /** Something broke in that generation. */
  broken(error: PolybusError, generation: number): void
}

export interface FeedLoopOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly link: Link
  readonly source: Omit<Source, 'onLost' | 'onRevoke'>
  readonly renewable: boolean
  readonly stopping: AbortSignal
  readonly log: Logger
  readonly event: (kind: BusEvent['kind'], error?: unknown) => void
  /** How many may be received now. */
  readonly places: () => number
  /** Resolves when there is room, or at a stop. */
  readonly room: () => Promise<void>
  /** Ends such a wait early. */
  readonly wake: () => void
  /** A new feed, before it receives. */
  readonly onFeed: (feed: Feed) => void
  readonly accept: (delivery: Delivery, flights: Flights, atMs: number) => void
  readonly onLost: (flight: Flight, before: FlightState) => void
  readonly onRevoke: (flights: readonly Flight[]) => Promise<void>
}

export interface FeedLoop {
  /** Resolves when it receives for the first time; rejects where it never will. */
  readonly started: Promise<void>
  /** Resolves when it has ended, after `stopping`. */
  readonly ended: Promise<void>
  /** What the present feed has delivered and is not settled. */
  readonly flights: Flights | undefined
  /** A stop begins: the feed fetches no more. */
  drain(): Promise<unknown>
  /** What is still unsettled goes back. */
  close(): Promise<void>
  reasons(): readonly { readonly down: boolean; readonly text: string }[]
}

const RECEIVE_MAX = 500
const CLOSE_MS = 1000
const RETRY_FIRST_MS = 50
const RETRY_MAX_MS = 5000
/** A feed that lived so long has worked. */
const STEADY_MS = 60_000

export function createFeedLoop(options: FeedLoopOptions): FeedLoop {
  const { adapter, clock, link, stopping, event, places, room, accept } = options
  const { channel, group } = options.source
  const name = `${channel.name}/${group}`
  const log = (level: 'debug' | 'warn' | 'error', text: string, error: unknown): void =>
    options.log[level]({ channel: channel.name, group, err: describeError(error) }, text)
  let flights: Flights | undefined
  let feed: Feed | undefined
  let stalled = false
  let settleError: PolybusError | undefined
  let feedError: PolybusError | undefined
  /** Nothing that is tried again can work. */
  let over = false
  /** Feeds that were subscribed, and what they brought. */
  let feeds = 0
  let received = 0
  let markStarted: () => void = () => {}
  let markFailed: (error: PolybusError) => void = () => {}
  const started = new Promise<void>((resolve, reject) => {
    markStarted = resolve
    markFailed = reject
  })
  started.catch(() => {})

  const run = async (): Promise<void> => {
    for (let failures = 0; !stopping.aborted;) {
      const generation = await link.up(stopping)
      if (generation === undefined || stopping.aborted) break
      const before = feeds
      const seen = received
      const since = clock.now()
      try {
        await serve()
        failures = 0
      } catch (error) {
        if (stopping.aborted) break
        const cause = asPolybusError(error, 'FEED_BROKEN')
        feedError = cause
        // One that was made, and brought nothing or broke over what nobody has mended, breaks again.
        const fresh = feeds > before && ((cause.retryable && received > seen) || clock.now() - since > STEADY_MS)
        failures = fresh ? 1 : failures + 1
        if (isFinal(cause, feeds > 0)) {
          over = true
          if (feeds > 0) {
            log('error', 'the subscription has ended: it cannot work', cause)
            event('ended', cause)
          }
          return markFailed(cause)
        }
        // What trying again alone does not mend needs a person.
        log(cause.retryable ? 'warn' : 'error', 'the subscription broke and is made anew', cause)
        event('reconnect', cause)
        link.broken(cause, generation)
        await sleep(clock, retryDelayMs(failures), stopping)
      }
    }
    markFailed(new PolybusError('CLOSED', `Consumer '${name}' was stopped before it received.`))
  }

  /** One feed: returns at a stop, and throws when it breaks. */
  const serve = async (): Promise<void> => {
    const broken = new AbortController()
    let fail: (error: PolybusError) => void = () => {}
    let asking = false
    const lostOnTheWay = new Set<unknown>()
    const breakUp = (error: PolybusError): void => {
      broken.abort(error)
      fail(error)
      // It may be waiting for room.
      options.wake()
    }
    const ask = { signal: AbortSignal.any([stopping, broken.signal]) }
    /** None while the adapter subscribes: nothing is held that could be lost. */
    let own = undefined as Flights | undefined
    const source: Source = {
      ...options.source,
      onLost: (tokens) => {
        // Some may be on their way to us: they are lost when they arrive.
        if (asking) {
          const held = new Set(own?.of(tokens).map(({ delivery }) => delivery.token))
          for (const token of tokens) if (!held.has(token)) lostOnTheWay.add(token)
        }
        own?.lose(tokens, new PolybusError('LEASE_LOST'))
      },
      onRevoke: (tokens) => options.onRevoke(own?.of(tokens) ?? []),
    }
    const current = await adapter.subscribe(source, ask)
    if (stopping.aborted) return void (await soon(current.close()))
    const taken = createFlights({
      clock,
      feed: current,
      renewable: options.renewable,
      onTrouble: (error) => {
        settleError = error
        if (error) log('warn', 'a delivery could not be settled and is tried again', error)
      },
      onHung: (error) => breakUp(error),
      onLost: (flight, before, reason) => {
        event('lost', reason)
        options.onLost(flight, before)
      },
    })
    const stall = createStallDetector({
      clock,
      feed: current,
      free: () => places() > 0 && taken.size === 0,
      signal: ask.signal,
      onStall: (error) => {
        event('stall', error)
        stalled = true
        breakUp(error)
      },
      onIdle: () => {
        stalled = false
      },
    })
    options.onFeed(current)
    feed = current
    own = flights = taken
    feeds++
    feedError = settleError = undefined
    markStarted()
    try {
      for (;;) {
        await room()
        if (stopping.aborted) return
        if (broken.signal.aborted) throw broken.signal.reason
        const free = places()
        // Somebody paused, or a store went away, since there was room.
        if (free <= 0) continue
        stall.receiving()
        asking = true
        const deliveries = await new Promise<readonly Delivery[]>((resolve, reject) => {
          fail = reject
          current.receive(Math.min(RECEIVE_MAX, free), ask).then(resolve, reject)
        })
        stall.received(deliveries.length)
        received += deliveries.length
        if (deliveries.length > 0) stalled = false
        asking = false
        const atMs = clock.now()
        for (let index = 0; index < deliveries.length; index++) {
          const delivery = deliveries[index] as Delivery
          if (lostOnTheWay.size === 0 || !lostOnTheWay.has(delivery.token)) accept(delivery, taken, atMs)
        }
        lostOnTheWay.clear()
      }
    } catch (error) {
      taken.loseAll(asPolybusError(error, 'FEED_BROKEN'))
      await current.close().catch(ignoreClosing)
      throw error
    } finally {
      stall.end()
      fail = () => {}
    }
  }

  const ignoreClosing = (error: unknown): void => log('debug', 'closing a feed failed', error)
  /** Waits for the adapter, but not for ever. */
  const soon = (work: Promise<unknown>): Promise<unknown> => within(clock, CLOSE_MS, () => work).catch(ignoreClosing)

  const ended = run().catch((error: unknown) => {
    log('error', 'a bug in Polybus: the feed loop ended', error)
    markFailed(asPolybusError(error, 'FEED_BROKEN'))
  })

  return {
    started,
    ended,
    get flights() {
      return flights
    },
    drain: async () => feed?.drain?.({ signal: new AbortController().signal }).catch(ignoreClosing),
    async close() {
      await soon(ended)
      flights?.loseAll(new PolybusError('CLOSED', 'The consumer has stopped.'))
      if (feed) await soon(feed.close())
    },
    reasons() {
      const reasons: { down: boolean; text: string }[] = []
      const add = (down: boolean, text: string): void => void reasons.push({ down, text: `${name}: ${text}` })
      if (stalled) add(true, 'stalled: nothing is received although there is a backlog')
      if (feedError) add(over, `${over ? 'ended' : 'resubscribing'}: ${feedError.message}`)
      if (settleError) add(false, `deliveries cannot be settled: ${settleError.message}`)
      return reasons
    },
  }
}

/** At the start it is the caller's to mend; later only what can never work ends the loop. */
const isFinal = ({ retryable, code }: PolybusError, everReceived: boolean): boolean =>
  (!retryable && !everReceived) || code === 'UNSUPPORTED' || code === 'INVALID_OPTION'

const retryDelayMs = (failures: number): number =>
  Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures, 8)) * (0.5 + Math.random() / 2)
