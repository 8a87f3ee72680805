// Messages of a key that wait in the store behind one that was dead-lettered: docs/decisions/0006-parked-messages.md.
import { type Clock, sleep } from '../clock.ts'
import { asPolybusError, describeError, type PolybusError } from '../errors.ts'
import {
  escapeText,
  lineOf,
  type MaybePromise,
  type ParkedMessage,
  type Parking,
  type TransactionalParking,
  unescapeText,
} from '../idempotency.ts'
import type { Logger } from '../api.ts'
import type { WireMessage } from '../message.ts'
import type { AttemptResult } from './decide.ts'
import { type Flight, foreignId } from './flight.ts'
import { foreignHeaders, progressHeaders } from './progress.ts'

export interface ParkedOptions {
  readonly parking: Parking | TransactionalParking<unknown>
  readonly channel: string
  readonly group: string
  readonly clock: Clock
  /** To the group alone; resolves when the broker has it. */
  readonly send: (message: WireMessage) => Promise<unknown>
  /** As of claims. */
  readonly onTrouble: (error: PolybusError | undefined) => void
  readonly log: Logger
}

/** Where a message stands in the line of its key, whether that is there or not. */
export interface Place {
  readonly line: string
  readonly id: string
  readonly flight: Flight
}

export interface Parked {
  /** Undefined where a message has no line: it has no key, or nothing to know it again by. */
  placeOf(flight: Flight): Place | undefined
  enter(place: Place): MaybePromise<'free' | 'head' | 'parked'>
  look(place: Place, tx: unknown): MaybePromise<'free' | 'head' | 'behind'>
  advance(place: Place, tx: unknown): MaybePromise<ParkedMessage | undefined>
  /** The message is done: the next one of its line goes to its group. Answers `result`, or why that could not be done yet. */
  passOn(place: Place, result: AttemptResult): Promise<AttemptResult>
  /** The second half of it. */
  send(place: Place, next: ParkedMessage | undefined, result: AttemptResult): Promise<AttemptResult>
  /** Tried until the store has it; undefined where the delivery ended meanwhile. */
  block(place: Place): Promise<'head' | 'parked' | undefined>
}

const BLOCK_RETRY_MS = 200

export function createParked(options: ParkedOptions): Parked {
  const { parking, channel, group, clock, log } = options
  const transactional = parking as TransactionalParking<unknown>

  const send: Parked['send'] = async (place, next, result) => {
    if (!next) return result
    try {
      await sendHead(parking, place.line, next, options.send)
      return result
    } catch (error) {
      const failure = asPolybusError(error, 'STORE_UNAVAILABLE')
      log.warn(
        { channel, group, key: place.flight.delivery.message.key, err: describeError(failure) },
        'the next message of a parked key could not be sent to its group: it is tried again',
      )
      return failure.code === 'STORE_UNAVAILABLE'
        ? { kind: 'unavailable', error: failure }
        : { kind: 'unsent', error: failure }
    }
  }

  return {
    placeOf(flight) {
      const { key } = flight.delivery.message
      const id = lineIdOf(flight)
      return key === undefined || id === undefined ? undefined : { line: lineOf(channel, group, key), id, flight }
    },
    enter: ({ line, id, flight }) => parking.enter(line, id, textOf(flight, id)),
    look: ({ line, id }, tx) => transactional.look(line, id, tx),
    advance: ({ line, id }, tx) => transactional.advance(line, id, tx),
    send,
    async passOn(place, result) {
      let next: ParkedMessage | undefined
      try {
        next = await parking.advance(place.line, place.id)
      } catch (error) {
        return { kind: 'unavailable', error: asPolybusError(error, 'STORE_UNAVAILABLE') }
      }
      return send(place, next, result)
    },
    async block({ line, id, flight }) {
      const text = textOf(flight, id)
      for (let troubled = false; flight.state === 'running'; await sleep(clock, BLOCK_RETRY_MS)) {
        try {
          const how = await parking.block(line, id, text)
          if (troubled) options.onTrouble(undefined)
          return how
        } catch (error) {
          troubled = true
          options.onTrouble(asPolybusError(error, 'STORE_UNAVAILABLE'))
        }
      }
      return undefined
    },
  }
}

/** Confirmed by the broker before the store hears of it: a crash between sends it twice, never not at all. */
export async function sendHead(
  parking: Parking,
  line: string,
  { id, message }: ParkedMessage,
  send: (message: WireMessage) => Promise<unknown>,
): Promise<void> {
  await send(fromText(message))
  await parking.sent(line, id)
}

/**
 * What tells a message from the others of its key, whichever copy of it comes: source and id. One without an id goes by its
 * `idempotencyKey`, behind a mark that no source has. It travels as a header, because an edited payload may give another one.
 */
function lineIdOf({ progress, ownKey, delivery: { message } }: Flight): string | undefined {
  if (progress.line !== undefined) return progress.line
  const id = progress.id ?? message.id
  if (id !== undefined) return `${sourceOf(message)}:${escapeText(id)}`
  return ownKey === undefined ? undefined : `%:${escapeText(ownKey)}`
}

/** Without colons, so that the id is what follows the first one. */
const sourceOf = ({ source = '' }: WireMessage): string => escapeText(source).replaceAll(':', '%003a')

/** The id for people. */
export const messageIdOf = (lineId: string): string => unescapeText(lineId.slice(lineId.indexOf(':') + 1))

/** As published, with a new count of attempts. */
function textOf(flight: Flight, line: string): string {
  const { message } = flight.delivery
  const { id, origin, replays } = flight.progress
  const progress = {
    made: 0,
    delayMs: 0,
    id,
    firstFailedAt: undefined,
    lastFailedAt: undefined,
    origin,
    replays,
    line,
  }
  const headers = [...foreignHeaders(message.headers), ...progressHeaders(progress, foreignId(flight))]
  return toText({ ...message, headers })
}

type Encoded = Omit<WireMessage, 'headers' | 'body'> & {
  readonly headers: readonly (readonly [string, string | { readonly base64: string }])[]
  readonly body: string | null
}
const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')

export const toText = (message: WireMessage): string =>
  JSON.stringify({
    ...message,
    headers: message.headers.map(([name, value]) => [
      name,
      typeof value === 'string' ? value : { base64: base64(value) },
    ]),
    body: message.body === null ? null : base64(message.body),
  } satisfies Encoded)

export function fromText(text: string): WireMessage {
  const { headers, body, ...rest } = JSON.parse(text) as Encoded
  return {
    id: rest.id,
    source: rest.source,
    type: rest.type,
    time: rest.time,
    key: rest.key,
    headers: headers.map(([name, value]) => [
      name,
      typeof value === 'string' ? value : Buffer.from(value.base64, 'base64'),
    ]),
    body: body === null ? null : Buffer.from(body, 'base64'),
    contentType: rest.contentType,
    dataSchema: rest.dataSchema,
    correlationId: rest.correlationId,
    causationId: rest.causationId,
  }
}
