// One attempt: decode + validate -> deduplicate -> time-out -> middleware -> handler. It settles nothing and decides nothing.
import { randomUUID } from 'node:crypto'
import type { Trace } from '../api.ts'
import type { Due } from '../deadlines.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { MaybePromise } from '../idempotency.ts'
import type { Message } from '../message.ts'
import { createOutputs, type Outputs } from '../outputs.ts'
import { isPromise } from '../maybe.ts'
import { viewMessage } from '../view.ts'
import { Gathered } from './batch.ts'
import type { Invoke } from './compose.ts'
import { type ContextShared, HandlerContext } from './context.ts'
import { type AttemptResult, DONE } from './decide.ts'
import type { Decode, Decoded } from './decode.ts'
import type { Deduplicate, Job } from './deduplicate.ts'
import { abortFlight, type Flight, signalOf } from './flight.ts'
import type { Parked, Place } from './parked.ts'
import type { Timed, Timeouts } from './timeout.ts'
import type { Unrun } from './unrun.ts'

export interface AttemptOptions {
  readonly decode: Decode
  readonly deduplicate: Deduplicate | undefined
  /** Of order-preserving dead letters. */
  readonly parked: Parked | undefined
  readonly idempotencyKey: ((value: unknown, message: Message) => string) | undefined
  /** A batch consumer: a message's time begins with its batch. */
  readonly collects: boolean
  /** `<channel>:<group>:` */
  readonly keyPrefix: string
  readonly timeouts: Timeouts
  readonly invoke: Invoke
  readonly shared: ContextShared
  readonly trace: Trace['attempt']
  /** Hand-overs by the broker after which the message is taken for one that kills its process. */
  readonly deliveryLimit: number
  readonly unrun: Unrun
}

/** What becomes of an attempt: called once, maybe before the call that began it returns. */
export type Conclude = (flight: Flight, result: AttemptResult) => void

export interface Attempt {
  run(flight: Flight, conclude: Conclude): void
  /** The parts, for at-most-once, which settles between them. */
  decode(flight: Flight): MaybePromise<Decoded>
  handle(flight: Flight, value: unknown, conclude: Conclude): void
}

/** A handler's run: one object for its time-out, its claim and its promise, because every message needs one. */
class Execution implements Job, Timed {
  readonly #options: AttemptOptions
  readonly #flight: Flight
  readonly #value: unknown
  readonly #id: string
  readonly #key: string | undefined
  readonly #conclude: Conclude
  #outputs: Outputs | undefined
  /** Who takes the handler's result; nobody: it is the attempt's. */
  #taker: ((result: AttemptResult) => void) | undefined
  readonly place: Place | undefined
  startedAt = 0
  timedOut = false
  dueAt = 0
  duePrevious: Due | undefined = undefined
  dueNext: Due | undefined = undefined
  dueListed = false

  constructor(
    options: AttemptOptions,
    flight: Flight,
    value: unknown,
    id: string,
    key: string | undefined,
    conclude: Conclude,
  ) {
    this.#options = options
    this.#flight = flight
    this.#value = value
    this.#id = id
    this.#key = key
    this.#conclude = conclude
    this.place = options.parked?.placeOf(flight)
  }
  get signal(): AbortSignal {
    return signalOf(this.#flight)
  }
  abort(reason: PolybusError): void {
    abortFlight(this.#flight, reason)
  }
  finish(result: AttemptResult): void {
    this.#conclude(this.#flight, result)
  }
  run(tx: unknown, taker?: (result: AttemptResult) => void): void {
    const { timeouts, shared, invoke, trace, collects } = this.#options
    this.#taker = taker
    this.startedAt = timeouts.start(this)
    if (collects) this.#flight.timing = this
    if (shared.transactional) this.#outputs = createOutputs()
    let returned: unknown
    try {
      const ctx = new HandlerContext(shared, this.#flight, this.#id, tx, this.#key, this.#outputs)
      returned = trace ? this.#traced(trace, ctx) : invoke(this.#value, ctx)
      // A thenable that is no promise may throw where it is asked.
      if (!(returned instanceof Gathered) && isPromise(returned) && !(returned instanceof Promise))
        returned = Promise.resolve(returned)
    } catch (error) {
      return this.#ended({ kind: 'failed', error })
    }
    if (returned instanceof Gathered)
      return returned.onEnd((failure) => this.#ended(failure ? { kind: 'failed', error: failure.error } : DONE))
    if (!(returned instanceof Promise)) return this.#ended(DONE)
    returned.then(
      () => this.#ended(DONE),
      (error: unknown) => this.#ended({ kind: 'failed', error }),
    )
  }
  /** The handler's own end decides, whatever the tracer does with it: an error that it swallows must not become an ack. */
  async #traced(trace: NonNullable<Trace['attempt']>, ctx: HandlerContext): Promise<void> {
    const { invoke, shared } = this.#options
    let running: Promise<void> | undefined
    const run = (): Promise<void> => {
      running ??= (async () => void (await invoke(this.#value, ctx)))()
      running.catch(() => {})
      return running
    }
    let failure: { readonly error: unknown } | undefined
    let handled: () => void = () => {}
    const over = new Promise<void>((resolve) => {
      handled = resolve
    })
    const traced = async (): Promise<void> => {
      try {
        const info = { channel: shared.channel, group: shared.group, attempt: ctx.attempt, message: ctx.message }
        await trace(info, () => {
          const handler = run()
          handler.then(handled, handled)
          return handler
        })
      } catch (error) {
        failure = { error }
      }
    }
    await Promise.race([traced(), over])
    if (!running) throw failure ? failure.error : new Error('trace.attempt() did not call run().')
    await running
    if (failure) shared.log.warn({ err: describeError(failure.error) }, 'trace.attempt() threw')
  }
  suspend(): void {
    this.#options.timeouts.suspend(this)
  }
  resume(): void {
    this.#options.timeouts.start(this)
  }
  #ended(result: AttemptResult): void {
    const error = this.#options.timeouts.end(this)
    const outputs = this.#outputs?.end()
    if (outputs && !error && result.kind === 'done') this.#flight.outputs = outputs
    // Past its time it has failed, however it ended.
    const counts: AttemptResult = error ? { kind: 'failed', error } : result
    if (this.#taker) this.#taker(counts)
    else this.finish(counts)
  }
}

/** Its type is to be ignored. Where others of its key wait behind it, that would leave them there for good. */
function ignored({ progress }: Flight): AttemptResult {
  if (progress.line === undefined) return DONE
  const text = 'Its type is ignored, but messages of its key wait behind it: discard it, and they go on.'
  return { kind: 'refused', reason: 'invalid', error: new PolybusError('DECODE_FAILED', text) }
}

export function createAttempt(options: AttemptOptions): Attempt {
  const { deduplicate, idempotencyKey, deliveryLimit, unrun, keyPrefix } = options

  // Messages of one producer come in a row: what their keys have in common is put together once.
  let source: string | undefined
  let prefix = ''
  const prefixOf = (next: string): string => {
    if (next !== source) {
      source = next
      prefix = `${keyPrefix}${next}:`
    }
    return prefix
  }

  const handle = (flight: Flight, value: unknown, conclude: Conclude): void => {
    const { message, position } = flight.delivery
    const known = flight.progress.id ?? message.id
    const id = known ?? (flight.foreignId ??= randomUUID())
    if (!deduplicate) return new Execution(options, flight, value, id, undefined, conclude).run(undefined)
    let key: string
    if (idempotencyKey) {
      try {
        const own: unknown = idempotencyKey(value, viewMessage(message, id, position))
        if (typeof own !== 'string' || own === '')
          throw new PolybusError('INVALID_MESSAGE', 'idempotencyKey must return a text that is not empty.')
        key = keyPrefix + own
        if (known === undefined) flight.ownKey = own
      } catch (error) {
        return conclude(flight, { kind: 'refused', reason: 'invalid', error })
      }
    } else if (known === undefined) {
      const text = 'The message has no id, so it cannot be deduplicated. Give the consumer an idempotencyKey.'
      const error = new PolybusError('INVALID_MESSAGE', text)
      return conclude(flight, { kind: 'refused', reason: 'no-id', error })
    } else key = prefixOf(message.source ?? '') + known
    deduplicate(key, new Execution(options, flight, value, id, key, conclude))
  }

  const decode = (flight: Flight): MaybePromise<Decoded> => options.decode(flight.delivery.message)
  const handleDecoded = (flight: Flight, decoded: Decoded, conclude: Conclude): void => {
    if (decoded.ok) handle(flight, decoded.value, conclude)
    else conclude(flight, decoded.result.kind === 'done' ? ignored(flight) : decoded.result)
  }

  return {
    decode,
    handle,
    run(flight, conclude) {
      if (unrun.exceeds(flight.delivery, deliveryLimit)) {
        const text = `The broker handed the message out ${flight.delivery.count} times: it may be killing its process.`
        const error = new PolybusError('LEASE_LOST', text)
        return conclude(flight, { kind: 'refused', reason: 'delivery-limit', error })
      }
      const decoded = decode(flight)
      if (isPromise(decoded)) void decoded.then((settled) => handleDecoded(flight, settled, conclude))
      else handleDecoded(flight, decoded, conclude)
    },
  }
}
