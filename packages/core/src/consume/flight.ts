// One delivery on its way through this process: its state, and the one function that changes it.
import { randomUUID } from 'node:crypto'
import type { Delivery, Outgoing, Settlement } from '../adapter.ts'
import type { Due } from '../deadlines.ts'
import type { Progress } from './progress.ts'

/**
 * `queued` waits for its key and a slot, `running` is with the handler, `waiting` sits out a delay (a held retry, a postponed
 * one, a settlement that failed), `settling` is with the broker, `gone` is settled, `lost` is no longer ours.
 */
export type FlightState = 'queued' | 'running' | 'waiting' | 'settling' | 'gone' | 'lost'
export type FlightEvent = 'start' | 'wait' | 'requeue' | 'settle' | 'settled' | 'unsettled' | 'lose'

const TABLE: { readonly [S in FlightState]: { readonly [E in FlightEvent]?: FlightState } } = {
  queued: { start: 'running', wait: 'waiting', settle: 'settling', lose: 'lost' },
  running: { wait: 'waiting', settle: 'settling', lose: 'lost' },
  waiting: { requeue: 'queued', settle: 'settling', lose: 'lost' },
  settling: { settled: 'gone', unsettled: 'waiting', lose: 'lost' },
  gone: {},
  lost: {},
}

/** The next state, or undefined where the event means nothing any more (a late one, after a loss say). */
export const transition = (state: FlightState, event: FlightEvent): FlightState | undefined => TABLE[state][event]

/** What a delivery can be told; its feed's flights do it. */
export interface FlightOwner {
  /** False where the event came too late. */
  apply(flight: Flight, event: FlightEvent): boolean
  /** Runs after the delay, or as soon as it is woken by a stop. */
  wait(flight: Flight, delayMs: number, resume: () => void): void
  /** Settles its token, and again until the broker has it. */
  finish(flight: Flight, settlement: Settlement): void
}

/** Deliveries of one key: the first has its turn, and `nextOfKey` leads from it to the last. */
export interface KeyQueue {
  readonly key: string
  first: Flight | undefined
  last: Flight | undefined
}

export interface Flight extends Due {
  readonly owner: FlightOwner
  readonly delivery: Delivery
  readonly key: string | undefined
  readonly bytes: number
  state: FlightState
  keyQueue: KeyQueue | undefined
  /** Its place among those that the broker has handed out so often that one may be what kills the process: they run alone. */
  suspect: number | undefined
  /** The next one of its key. */
  nextOfKey: Flight | undefined
  /** Its places in the list of what its feed has delivered. */
  held: boolean
  heldPrevious: Flight | undefined
  heldNext: Flight | undefined
  /** Its lane is about to move: it is given back instead of being tried again. */
  revoked: boolean
  /** The id that we gave a message that has none of its own. */
  foreignId: string | undefined
  /** Its idempotency key, of a message that has no id. */
  ownKey: string | undefined
  /** What is known of earlier attempts. */
  progress: Progress
  /** When the lease ends, by our clock; Infinity where it follows the connection or the lane. */
  leaseEndsAt: number
  /** How long it was when it was given or renewed last. */
  leaseMs: number
  /** When the next renewal is due. */
  renewAt: number
  extending: boolean
  /** Aborts what the handler does; made when somebody looks at the signal. */
  abort: AbortController | undefined
  /** Why it was aborted before anybody looked. */
  abortReason: unknown
  /** Ends a wait early. */
  wake: (() => void) | undefined
  /** The time-out of a batch consumer's message stands still until its batch begins. */
  timing: { suspend(): void; resume(): void } | undefined
  /** Takes it out of a batch that has not begun: its attempt ends as not made. */
  gathered: { withdraw(): void } | undefined
  /** It is to go back, should it come to stand in such a batch. */
  whenGathered: (() => void) | undefined
  /** What is to be done with the token, from the moment of deciding until the broker has it. */
  settlement: Settlement | undefined
  settleTries: number
  /** What its handler published, of transactional delivery. */
  outputs: readonly Outgoing[] | undefined
  /** Called once, when the flight is gone or lost. */
  ended: ((how: 'gone' | 'lost') => void) | undefined
}

export function createFlight(
  owner: FlightOwner,
  delivery: Delivery,
  key: string | undefined,
  bytes: number,
  progress: Progress,
): Flight {
  return {
    owner,
    delivery,
    key,
    bytes,
    state: 'queued',
    keyQueue: undefined,
    suspect: undefined,
    nextOfKey: undefined,
    held: false,
    heldPrevious: undefined,
    heldNext: undefined,
    revoked: false,
    foreignId: undefined,
    ownKey: undefined,
    progress,
    leaseEndsAt: Infinity,
    leaseMs: 0,
    renewAt: 0,
    extending: false,
    abort: undefined,
    abortReason: undefined,
    wake: undefined,
    timing: undefined,
    gathered: undefined,
    whenGathered: undefined,
    settlement: undefined,
    settleTries: 0,
    outputs: undefined,
    ended: undefined,
    dueAt: 0,
    duePrevious: undefined,
    dueNext: undefined,
    dueListed: false,
  }
}

/** The id that a message of a foreign producer was given; its copies keep it. One without any gets one with its first copy. */
export function foreignId(flight: Flight): string | undefined {
  const { message } = flight.delivery
  if (message.id === undefined && flight.progress.id === undefined) flight.foreignId ??= randomUUID()
  return flight.foreignId ?? (message.source === undefined ? message.id : undefined)
}

export function abortFlight(flight: Flight, reason: unknown): void {
  flight.abortReason ??= reason
  flight.abort?.abort(flight.abortReason)
}

export function signalOf(flight: Flight): AbortSignal {
  if (!flight.abort) {
    flight.abort = new AbortController()
    if (flight.abortReason !== undefined) flight.abort.abort(flight.abortReason)
  }
  return flight.abort.signal
}

/** Also runs this at the end. */
export function onEnded(flight: Flight, run: (how: 'gone' | 'lost') => void): void {
  const before = flight.ended
  const ended: typeof run = (how) => {
    before?.(how)
    run(how)
  }
  flight.ended = ended
}
