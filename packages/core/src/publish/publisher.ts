// publish(): from a typed value to an entry of the queue.
import type { Adapter, Capabilities, Destination, Outgoing } from '../adapter.ts'
import type { PublishOptions, PublishReceipt, Trace } from '../api.ts'
import type { ChannelDefinition } from '../channel.ts'
import type { Clock } from '../clock.ts'
import { milliseconds } from '../duration.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import type { MaybePromise } from '../idempotency.ts'
import { createIds } from '../ids.ts'
import type { Headers, WireMessage } from '../message.ts'
import type { Outputs } from '../outputs.ts'
import { checkKeys } from '../options.ts'
import { isPromise } from '../maybe.ts'
import { bounded } from './bounded.ts'
import { checkHeaders, checkOptions, checkSize, keyOf, refuseUnsupportedOptions, typeOf } from './checks.ts'
import { type Body, createEncode, type Encode } from './encode.ts'
import type { KeyLane } from './entry.ts'
import type { PublishContext, PublishMiddleware } from './outgoing.ts'
import { createQueue, type Queue } from './queue.ts'

export interface PublisherOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly service: string
  readonly timeoutMs: number
  readonly bufferMessages: number
  readonly bufferBytes: number
  readonly whenFull: 'wait' | 'reject' | 'drop-oldest'
  readonly use: readonly PublishMiddleware[]
  readonly trace: Trace['publish']
  /** Topology, capabilities and hazards of a channel: once, then at hand. */
  readonly ensure: (channel: ChannelDefinition) => MaybePromise<Capabilities>
  readonly onBroken: (error: PolybusError) => void
}

export interface Correlation {
  readonly correlationId: string | undefined
  readonly causationId: string
}

export interface Publisher {
  publish(
    channel: ChannelDefinition,
    value: unknown,
    options?: PublishOptions,
    correlation?: Correlation,
    /** There instead of to the broker: they go with a settlement. */
    outputs?: Outputs,
  ): Promise<PublishReceipt>
  /** A ready message to any destination, such as a replay. */
  send(message: WireMessage, to: Destination, signal?: AbortSignal): Promise<PublishReceipt>
  /** A value's body, as `publish` would write it. */
  encode(channel: ChannelDefinition, value: unknown, type: string): MaybePromise<Body>
  /** What was accepted is still sent; at the signal the rest is rejected. */
  close(signal: AbortSignal): Promise<void>
  readonly queue: Queue
}

/** What the publisher keeps of a channel. */
interface ChannelState {
  readonly encode: Encode
  readonly to: Destination
  readonly lanes: Map<string, KeyLane>
  /** Publishes that wait for an asynchronous schema, a middleware or the first use: later ones stand behind them. */
  turn: Promise<unknown> | undefined
}

/** A publish that is being prepared. */
interface Draft {
  readonly channel: ChannelDefinition
  readonly state: ChannelState
  readonly value: unknown
  readonly id: string
  readonly type: string
  readonly key: string | undefined
  readonly timeoutMs: number
  readonly deadlineAt: number
  readonly given: PublishOptions
  readonly correlation: Correlation | undefined
  readonly outputs: Outputs | undefined
}

const OPTIONS = ['id', 'key', 'headers', 'correlationId', 'delay', 'priority', 'timeout', 'signal']
const NO_OPTIONS: PublishOptions = {}

export function createPublisher(options: PublisherOptions): Publisher {
  const { adapter, clock, service, use, trace } = options
  const states = new WeakMap<ChannelDefinition, ChannelState>()
  const queue = createQueue({
    clock,
    limits: adapter.limits,
    send: (batch, signal) => adapter.send(batch, { signal }),
    bufferMessages: options.bufferMessages,
    bufferBytes: options.bufferBytes,
    whenFull: options.whenFull,
    onBroken: options.onBroken,
  })
  const nextId = createIds()
  let handovers = 0
  let closing = false
  /** Publishes that are not yet in the queue. */
  let preparing = 0
  let prepared: (() => void) | undefined

  const stateOf = (channel: ChannelDefinition): ChannelState => {
    let state = states.get(channel)
    if (!state) {
      const to: Destination = { kind: 'channel', channel: channel.spec.name }
      state = { encode: createEncode(channel), to, lanes: new Map(), turn: undefined }
      states.set(channel, state)
    }
    return state
  }

  const enqueue = (
    { channel, state, id, type, key, given, correlation, outputs, timeoutMs, deadlineAt }: Draft,
    capabilities: Capabilities,
    body: Body,
    headers: Headers,
  ): Promise<PublishReceipt> => {
    if (given !== NO_OPTIONS) refuseUnsupportedOptions(adapter, channel, capabilities, given)
    const message: WireMessage = {
      id,
      source: service,
      type,
      time: clock.wall(),
      key,
      headers,
      body,
      contentType: channel.codec.contentType,
      dataSchema: channel.dataSchema,
      correlationId: given.correlationId ?? correlation?.correlationId,
      causationId: correlation?.causationId,
    }
    const bytes = checkSize(adapter, channel, capabilities, message)
    const { priority } = given
    const outgoing: Outgoing = {
      handover: handovers++,
      message,
      to: state.to,
      ...(priority !== undefined && { priority }),
    }
    if (outputs) {
      outputs.add(outgoing, bytes)
      return Promise.resolve({ id, position: undefined })
    }
    return queue.add({
      outgoing,
      bytes,
      key: key === undefined ? undefined : queue.lane(state.lanes, key, capabilities.orderedBatch),
      timeoutMs,
      deadlineAt,
      signal: given.signal,
    })
  }

  const publish = (
    channel: ChannelDefinition,
    value: unknown,
    given: PublishOptions,
    correlation: Correlation | undefined,
    outputs: Outputs | undefined,
  ): Promise<PublishReceipt> => {
    if (closing)
      throw new PolybusError(
        'CLOSED',
        'The bus is closed: nothing was published. Publish before close(), or on a new bus from connect().',
        { sent: 'no' },
      )
    if (given !== NO_OPTIONS) {
      checkKeys(given, OPTIONS, 'publish()')
      checkOptions(given)
    }
    const { id = nextId(), timeout } = given
    const timeoutMs = timeout === undefined ? options.timeoutMs : milliseconds(timeout, 'publish().timeout')
    const state = stateOf(channel)
    const headers = checkHeaders(given.headers)
    const draft: Draft = {
      channel,
      state,
      value,
      id,
      // Now, as the body: the value may be another one when it is this one's turn.
      type: typeOf(channel, value),
      key: keyOf(channel, value, given.key),
      timeoutMs,
      deadlineAt: clock.now() + timeoutMs,
      given,
      correlation,
      outputs,
    }

    const capabilities = options.ensure(channel)
    const body = state.encode(value, draft.type)
    const simple = use.length === 0 && !trace
    if (simple && !state.turn && !isPromise(capabilities) && !isPromise(body))
      return enqueue(draft, capabilities, body, headers)
    return preparation(inTurn(draft, capabilities, body, headers, simple))
  }

  /** Order is that of the calls: who waits here holds whoever comes after on this channel. */
  const inTurn = (
    draft: Draft,
    capabilities: MaybePromise<Capabilities>,
    body: MaybePromise<Body>,
    headers: Headers,
    simple: boolean,
  ): Promise<PublishReceipt> => {
    const { state, given, deadlineAt } = draft
    const { turn } = state
    const parts = Promise.all([capabilities, body, turn])
    parts.catch(ignore)
    let pass: () => void = ignore
    const passed = new Promise<void>((resolve) => {
      pass = resolve
    })
    const place = (all: Headers): Promise<PublishReceipt> =>
      bounded(clock, deadlineAt - clock.now(), given.signal, parts, ([known, bytes]) => {
        try {
          return enqueue(draft, known, bytes, all)
        } finally {
          pass()
        }
      })
    const sent = simple ? place(headers) : throughMiddleware(draft, headers, place)
    // What fails, or is given up, lets the next ones pass; those before it still go first.
    sent.then(pass, pass)
    const mine: Promise<unknown> = Promise.all([passed, turn]).then(() => {
      if (state.turn === mine) state.turn = undefined
    })
    state.turn = mine
    return sent
  }

  const throughMiddleware = async (
    { channel, value, id, key, deadlineAt, given }: Draft,
    headers: Headers,
    place: (headers: Headers) => Promise<PublishReceipt>,
  ): Promise<PublishReceipt> => {
    const ctx: PublishContext = {
      channel: channel.spec.name,
      id,
      key,
      value,
      headers: Object.fromEntries(headers) as Record<string, string>,
    }
    let sent: Promise<PublishReceipt> | undefined
    let over: PolybusError | undefined
    const last = async (): Promise<void> => {
      if (over) throw over
      sent ??= place(checkHeaders(ctx.headers))
      // A middleware may leave without waiting for it.
      sent.catch(ignore)
      await sent
    }
    const run = use.reduceRight<() => Promise<void>>((next, middleware) => () => middleware(ctx, next), last)
    const through = async (): Promise<void> => {
      try {
        await (trace ? trace({ channel: ctx.channel, id, key: ctx.key }, run) : run())
      } catch (error) {
        // Once it is on its way, its own answer counts.
        if (!sent) throw error
      }
    }
    try {
      await bounded(clock, deadlineAt - clock.now(), given.signal, through(), () => Promise.resolve())
    } catch (error) {
      if (!sent) {
        over = asPolybusError(error, 'ABORTED', { sent: 'no' })
        throw error
      }
    }
    if (!sent)
      throw new PolybusError('ABORTED', 'A publish middleware returned without calling next().', { sent: 'no' })
    // Also where a middleware did not wait for it, swallowed its failure, or never ended.
    return sent
  }

  const preparation = <T>(work: Promise<T>): Promise<T> => {
    preparing++
    return work.finally(() => {
      if (--preparing === 0) prepared?.()
    })
  }

  return {
    queue,
    encode: (channel, value, type) => stateOf(channel).encode(value, type),
    // Never throws: every failure is the promise's.
    publish(channel, value, given = NO_OPTIONS, correlation, outputs) {
      try {
        return publish(channel, value, given, correlation, outputs)
      } catch (error) {
        return Promise.reject(error) // oxlint-disable-line typescript/prefer-promise-reject-errors -- whatever was thrown
      }
    },
    send: (message, to, signal) =>
      queue.add({
        outgoing: { handover: handovers++, message, to },
        bytes: adapter.size(message),
        key: undefined,
        timeoutMs: options.timeoutMs,
        signal,
      }),
    async close(signal) {
      closing = true
      if (preparing > 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          prepared = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      await queue.close(signal)
    },
  }
}

const ignore = (): void => {}
