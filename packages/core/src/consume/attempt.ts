// One attempt: decode + validate -> deduplicate -> time-out -> middleware -> handler. It settles nothing and decides nothing.
import { randomUUID } from 'node:crypto'
import type { Trace } from '../api.ts'
import { PolybusError } from '../errors.ts'
import type { MaybePromise } from '../idempotency.ts'
import type { Message } from '../message.ts'
import { isPromise } from '../schema.ts'
import { viewMessage } from '../view.ts'
import type { Invoke } from './compose.ts'
import { type ContextShared, HandlerContext } from './context.ts'
import type { AttemptResult } from './decide.ts'
import type { Decode, Decoded } from './decode.ts'
import type { Deduplicate, Work } from './deduplicate.ts'
import { abortFlight, type Flight, signalOf } from './flight.ts'
import { runPlain } from './deduplicate.ts'
import type { Timeouts } from './timeout.ts'

export interface AttemptOptions {
  readonly decode: Decode
  readonly deduplicate: Deduplicate | undefined
  readonly idempotencyKey: ((value: unknown, message: Message) => string) | undefined
  /** `<channel>:<group>:` */
  readonly keyPrefix: string
  readonly timeouts: Timeouts
  readonly invoke: Invoke
  readonly shared: ContextShared
  readonly trace: Trace['attempt']
  /** Hand-overs by the broker after which the message is taken for one that kills its process; null: it does not count. */
  readonly deliveryLimit: number | null
}

export interface Attempt {
  run(flight: Flight): MaybePromise<AttemptResult>
  /** The parts, for at-most-once, which settles between them. */
  decode(flight: Flight): MaybePromise<Decoded>
  handle(flight: Flight, value: unknown): MaybePromise<AttemptResult>
}

export function createAttempt(options: AttemptOptions): Attempt {
  const { deduplicate, idempotencyKey, timeouts, invoke, shared, trace, deliveryLimit } = options

  /** Never throws and never rejects: what the handler threw is a value. */
  const work = (flight: Flight, value: unknown, id: string, effectKey: string | undefined): Work => {
    return (tx) => {
      const watch = timeouts.start((reason) => abortFlight(flight, reason))
      const ended = (failure: { readonly error: unknown } | undefined): { readonly error: unknown } | undefined => {
        const late = timeouts.end(watch)
        return late ? { error: late } : failure
      }
      try {
        const ctx = new HandlerContext(shared, flight, id, tx, effectKey)
        const returned = trace
          ? trace({ channel: shared.channel, group: shared.group, attempt: ctx.attempt, message: ctx.message }, async () => void (await invoke(value, ctx)))
          : invoke(value, ctx)
        if (isPromise(returned as MaybePromise<unknown>)) return (returned as Promise<unknown>).then(() => ended(undefined), (error: unknown) => ended({ error }))
        return ended(undefined)
      } catch (error) {
        return ended({ error })
      }
    }
  }

  const handle = (flight: Flight, value: unknown): MaybePromise<AttemptResult> => {
    const { message, position } = flight.delivery
    const known = flight.progress.id ?? message.id
    const id = known ?? (flight.foreignId ??= randomUUID())
    if (!deduplicate) return runPlain(work(flight, value, id, undefined))
    let key: string
    if (idempotencyKey) {
      try {
        const own: unknown = idempotencyKey(value, viewMessage(message, id, position))
        if (typeof own !== 'string' || own === '') throw new PolybusError('INVALID_MESSAGE', 'idempotencyKey must return a text that is not empty.')
        key = options.keyPrefix + own
      } catch (error) {
        return { kind: 'refused', reason: 'invalid', error }
      }
    } else if (known === undefined) {
      return { kind: 'refused', reason: 'no-id', error: new PolybusError('INVALID_MESSAGE', 'The message has no id, so it cannot be deduplicated. Give the consumer an idempotencyKey.') }
    } else key = `${options.keyPrefix}${message.source ?? ''}:${known}`
    return deduplicate(key, work(flight, value, id, key), () => signalOf(flight))
  }

  const decode = (flight: Flight): MaybePromise<Decoded> => options.decode(flight.delivery.message)
  const handleDecoded = (flight: Flight, decoded: Decoded): MaybePromise<AttemptResult> =>
    decoded.ok ? handle(flight, decoded.value) : { kind: 'refused', reason: decoded.reason, error: decoded.error }

  return {
    decode,
    handle,
    run(flight) {
      const { count } = flight.delivery
      if (count !== null && deliveryLimit !== null && count > deliveryLimit)
        return { kind: 'refused', reason: 'delivery-limit', error: new PolybusError('LEASE_LOST', `The broker handed the message out ${count} times: it may be killing its process.`) }
      const decoded = decode(flight)
      return isPromise(decoded) ? decoded.then((settled) => handleDecoded(flight, settled)) : handleDecoded(flight, decoded)
    },
  }
}
