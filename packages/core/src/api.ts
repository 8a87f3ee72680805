// The public API as types; `channel.ts` and `consume/consumer.ts` hold what defines channels and consumers.
import type { Adapter, Stats } from './adapter.ts'
import type { AnyChannel, Channel, Opt } from './channel.ts'
import type { Duration } from './duration.ts'
import type { HeadState, IdempotencyStore } from './idempotency.ts'
import type { Inspection } from './inspect.ts'
import type { Message, WireMessage } from './message.ts'
import type { PublishMiddleware } from './publish/outgoing.ts'

/** What handlers may return: `order => repo.save(order)` compiles; the value is ignored. */
export type Maybe = Promise<unknown> | void

type Log = (fields: object, text: string) => void
/** Pino's shape: pino, `fastify.log` and `console` fit. */
export interface Logger {
  debug: Log
  info: Log
  warn: Log
  error: Log
}

export type PublishOptions = Opt<{
  /** Default: a text that is unique everywhere. The same id again is a duplicate to every idempotent consumer. */
  id: string
  /** Overrides the channel's key function. */
  key: string
  /** Text headers. `polybus-*` and CloudEvents names are reserved. */
  headers: Record<string, string>
  correlationId: string
  /** Not before this delay, where the adapter can. */
  delay: Duration
  /**
   * From 0 to 255, higher first, where the adapter can: `UNSUPPORTED` elsewhere. A broker that tells fewer apart says so in its page.
   * It says what is handed out first of what waits, and is no promise of order.
   */
  priority: number
  /** Default: the bus's `publishing.timeout`, 30 s. */
  timeout: Duration
  signal: AbortSignal
}>
export interface PublishReceipt {
  readonly id: string
  readonly position: string | undefined
}
/** Resolves when the broker has confirmed. Order is that of the calls, key by key. */
export type Publish = <I>(
  channel: Channel<I, any, any>, // oxlint-disable-line typescript/no-explicit-any -- any output, any groups
  value: NoInfer<I>,
  options?: PublishOptions,
) => Promise<PublishReceipt>

/** What a handler gets beside the value. */
export interface Context<Tx = undefined> {
  readonly message: Message
  readonly group: string
  /** From 1. */
  readonly attempt: number
  /** `attempt >= retry.attempts`, rules apart. */
  readonly lastAttempt: boolean
  /** Aborts at the time-out, when the delivery is lost, and when the grace time of a stop is over. */
  readonly signal: AbortSignal
  readonly log: Logger
  /** The store's transaction; undefined without a transactional store. */
  readonly tx: Tx
  /** As the bus's, with correlation and causation ids; works while the bus is closing. With `delivery: 'transactional'` it is part of the transaction. */
  readonly publish: Publish
  /** A stable id for a side effect of this message: the same at every attempt, and after a redelivery. */
  sideEffectKey(name: string): string
}
/** Wraps the handler. Throws pass through. Never calls `next` twice. */
export type Middleware = (ctx: Context<unknown>, next: () => Promise<void>) => Promise<void>

/** How long to wait before the next attempt; `attempt` is the one that failed, from 1. */
export interface Backoff {
  delayMs(attempt: number): number
}
export type ErrorMatch = readonly (abstract new (...args: never[]) => object)[] | ((error: unknown) => boolean)
export interface Retry {
  /** How many times the handler may start, the first included. */
  readonly attempts: number
  /** Default: exponential from 200 ms to 1 min. */
  readonly backoff?: Backoff | undefined
  /** `held` keeps a key's order and waits in the process; `released` gives the wait to the broker. Default: held with a key, else released. */
  readonly wait?: 'held' | 'released' | undefined
  /** By error, the first match counts. */
  readonly rules?:
    | readonly { readonly on: ErrorMatch; readonly attempts: number; readonly backoff?: Backoff | undefined }[]
    | undefined
}

export interface Policy<O, Tx> extends Opt<{
  /** Handlers at one time. Default 16. */
  concurrency: number
  /** For one attempt. Default 30 s. */
  timeout: Duration
  /** Default: 5 attempts. `false`: one. */
  retry: Retry | false
  /**
   * `false`: what fails for good is discarded and counted. `in-order`: later messages of its key wait in the store behind a dead
   * letter, and go on in order when it is replayed or discarded. Default true.
   */
  deadLetter: boolean | 'in-order'
  /** Makes the consumer effectively-once. */
  idempotency: IdempotencyStore<Tx>
  /** Default: source and id of the message. */
  idempotencyKey: (value: O, message: Message) => string
  /**
   * Default: at least once. `transactional`: what the handler publishes through its context, retry and dead-letter copies too,
   * and the settlement of its message happen together or not at all, where the adapter can; a publish then resolves when it is
   * part of the transaction, not when the broker has it.
   */
  delivery: 'at-least-once' | 'at-most-once' | 'transactional'
  /** Where a new group begins. Default: the beginning, where the broker keeps history. */
  from: 'beginning' | 'end'
  /**
   * What becomes of a message whose type the channel's `types({ … })` does not name. Default: `dead-letter`; with `on` and its
   * `'*'`, that handler gets the data, unchecked. `ignore` acknowledges it.
   */
  unknownTypes: 'dead-letter' | 'ignore'
  use: readonly Middleware[]
}> {}
export type Handler<O, Tx = undefined> = (value: O, ctx: Context<Tx>) => Maybe
export interface BatchItem<O> {
  readonly value: O
  readonly message: Message
  readonly attempt: number
  /** This item failed; the others are acknowledged. */
  fail(error: unknown): void
}
export type BatchContext<Tx> = Omit<Context<Tx>, 'message' | 'attempt'>
type ByType<O, Tx> = [O] extends [{ type: string; data: unknown }]
  ?
      | ({ [K in O['type']]: Handler<Extract<O, { type: K }>['data'], Tx> } & { '*'?: Handler<unknown, Tx> })
      | ({ [K in O['type']]?: Handler<Extract<O, { type: K }>['data'], Tx> } & { '*': Handler<unknown, Tx> })
  : never
export type Run<O, Tx> =
  | {
      batch: { max: number; wait: Duration; handler: (items: readonly BatchItem<O>[], ctx: BatchContext<Tx>) => Maybe }
    }
  | { on: ByType<O, Tx> }
  | { handler: Handler<O, Tx> }
export type Define<Result> = <O, G extends string, Tx = undefined>(
  channel: Channel<any, O, G>, // oxlint-disable-line typescript/no-explicit-any -- any input
  group: NoInfer<G>,
  run: Handler<O, Tx> | (Policy<NoInfer<O>, Tx> & Run<O, Tx>),
) => Result

export interface Subscription {
  /** No new messages; what is under way goes on. */
  pause(): void
  resume(): void
  /** Ends this consumer: running handlers finish within the grace time, the rest goes back. */
  stop(): Promise<void>
}

export interface DeadLetter<O> {
  readonly id: string
  readonly message: Message
  /** Undefined where it cannot be decoded. */
  readonly value: O | undefined
  readonly reason: string
  readonly error: { readonly name: string; readonly message: string }
  readonly attempts: number
  readonly firstFailedAt: Date
  readonly lastFailedAt: Date
  /** As the broker keeps it, `polybus-*` headers included: all that {@link DeadLetters.restore} needs. */
  readonly wire: WireMessage
}
/** By ids, or by all of what is given. `{}` selects all. */
export type Selection =
  | { readonly ids: readonly string[] }
  | Opt<{ reason: string; errorName: string; key: string; since: Date; until: Date }>
export interface Acted {
  readonly done: number
  readonly failed: number
}
export type ActOptions = Opt<{
  /** Ends it between two letters: the one under way is finished first. What was done stays done; the rest is where it was. */
  signal: AbortSignal
  /** Called after each letter. */
  progress: (sofar: Acted) => void
}>
export interface ParkedKey {
  readonly key: string
  /** The id of the message that the others wait for. */
  readonly head: string
  /** `dead`: in the dead letters. `due` and `sent`: on its way, or being handled. */
  readonly state: HeadState
  /** How many wait behind it. */
  readonly waiting: number
}
export interface DeadLetters<I, O> {
  /** Oldest first, a page at a time. Where the broker has no cursor a look holds what it showed until it ends. */
  list(selection?: Selection, options?: Opt<{ signal: AbortSignal }>): AsyncIterable<DeadLetter<O>>
  /** Back to this group alone, with a new count of attempts. `edit` gives the value to send instead. */
  replay(
    selection: Selection,
    options?: ActOptions & Opt<{ edit: (value: unknown, letter: DeadLetter<O>) => I | Promise<I>; perSecond: number }>,
  ): Promise<Acted>
  discard(selection: Selection, options?: ActOptions): Promise<Acted>
  /** Keys whose messages wait behind a dead letter: of a consumer with `deadLetter: 'in-order'`. */
  parked(options?: Opt<{ signal: AbortSignal }>): AsyncIterable<ParkedKey>
  /**
   * Goes on with a parked key without its dead letter, where that is gone: `replay` sends the head from the store's copy to this
   * group again, `discard` drops it and sends the next one. False where the key is not parked.
   */
  unpark(key: string, options: { head: 'replay' | 'discard' }): Promise<boolean>
  /** Puts letters there again, as they were: what {@link DeadLetter.wire} kept of them, elsewhere or before. Twice gives two. */
  restore(letters: Iterable<WireMessage> | AsyncIterable<WireMessage>, options?: ActOptions): Promise<Acted>
}

/** For whoever reports elsewhere: metrics, traces, alerts. */
export interface BusEvent {
  readonly kind:
    | 'retry'
    | 'dead-letter'
    | 'discard'
    | 'duplicate'
    | 'parked'
    | 'lost'
    | 'reconnect'
    | 'stall'
    | 'failed'
    /** The subscription cannot work, however often it is tried: it has ended. */
    | 'ended'
  readonly channel: string
  readonly group: string
  readonly error?: unknown
}
/** Wraps each publish and each attempt, inside everything else. For tracers; must call `run` exactly once. */
export interface Trace {
  publish?<T>(
    info: { readonly channel: string; readonly id: string; readonly key: string | undefined },
    run: () => Promise<T>,
  ): Promise<T>
  attempt?(
    info: { readonly channel: string; readonly group: string; readonly attempt: number; readonly message: Message },
    run: () => Promise<void>,
  ): Promise<void>
}

export interface Health {
  readonly status: 'up' | 'degraded' | 'down'
  readonly reasons: readonly string[]
  /** Of each consumer that met messages it could not read. They are dead letters, and leave the status as it is. */
  readonly drift: readonly Drift[]
}
/** Messages that a consumer could not read, since it started. */
export interface Drift {
  readonly channel: string
  readonly group: string
  /** The codec could not read them. */
  readonly undecodable: number
  /** The schema refused them, or an upcast threw. */
  readonly invalid: number
  readonly last: { readonly id: string; readonly at: Date; readonly reason: string }
}

export interface Bus extends AsyncDisposable {
  readonly publish: Publish
  readonly subscribe: Define<Promise<Subscription>>
  /** Resolves when all receive. */
  start(...consumers: readonly Consumer[]): Promise<readonly Subscription[]>
  /** `store`: where messages are parked, if no consumer of the group runs on this bus. */
  deadLetters<I, O, G extends string>(
    channel: Channel<I, O, G>,
    group: NoInfer<G>,
    options?: Opt<{ store: IdempotencyStore<unknown> }>,
  ): DeadLetters<I, O>
  stats(channel: AnyChannel, group: string): Promise<Stats>
  /** What the broker has for a channel and its declared groups, and what it lacks. Creates nothing. */
  inspect(channel: AnyChannel): Promise<Inspection>
  /** Sets channels up, as their first use would: `topology: 'create'` creates what is missing. */
  prepare(...channels: readonly AnyChannel[]): Promise<void>
  /** Logs only. */
  rewind(
    channel: AnyChannel,
    group: string,
    options: { to: 'beginning' | 'end' | Date | string; dedupe: 'keep' | 'forget' },
  ): Promise<void>
  health(): Health
  /** Consuming ends, publishing works. */
  stop(options?: { grace?: Duration }): Promise<void>
  /** All ends. Twice is harmless. */
  close(options?: { grace?: Duration }): Promise<void>
}

/** A consumer as a value: {@link Bus.start} runs it. */
export interface Consumer {
  readonly channel: AnyChannel
  readonly group: string
  readonly '~run': unknown
}

export type BusOptions = Opt<{
  /** CloudEvents source: one name for all processes of a service, or deduplication would not work across them. Default `polybus`. */
  service: string
  /** Isolates tests and preview environments on one broker. */
  namespace: string
  /** Default `create`. */
  topology: 'create' | 'verify' | 'none'
  /** Default: warnings and errors to the console. */
  logger: Logger | false
  observe: (event: BusEvent) => void
  trace: Trace
  use: readonly Middleware[]
  defaults: Pick<Policy<unknown, undefined>, 'concurrency' | 'timeout' | 'retry'>
  /** Default 10 s. */
  connectTimeout: Duration
  /** How long running handlers may finish at a stop. Default 20 s. */
  grace: Duration
  /** `strict` refuses a channel with hazards. Default `report`. */
  durability: 'report' | 'strict'
  publishing: Opt<{
    /** Default 10,000. */
    bufferMessages: number
    /** Default 64 MiB. */
    bufferBytes: number
    /** Default 30 s. */
    timeout: Duration
    /** Default `wait`. */
    whenFull: 'wait' | 'reject' | 'drop-oldest'
    /** Wraps each publish, after validation. */
    use: readonly PublishMiddleware[]
  }>
}>
export type ConnectOptions = BusOptions & Opt<{ broker: string | Adapter }>
