// publish(): from a typed value to an entry of the queue.
import { randomUUID } from 'node:crypto'
import type { Adapter, Capabilities, Destination, Receipt } from '../adapter.ts'
import type { PublishOptions, PublishReceipt, Trace } from '../api.ts'
import type { ChannelDefinition } from '../channel.ts'
import type { Clock } from '../clock.ts'
import { milliseconds, show } from '../duration.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { MaybePromise } from '../idempotency.ts'
import type { WireMessage } from '../message.ts'
import { checkKeys, invalid } from '../options.ts'
import { isPromise } from '../schema.ts'
import { createEncode, type Encode } from './encode.ts'
import type { PublishContext, PublishMiddleware } from './outgoing.ts'
import { createQueue, type KeyLane, type Queue } from './queue.ts'

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
  publish(channel: ChannelDefinition, value: unknown, options?: PublishOptions, correlation?: Correlation): Promise<PublishReceipt>
  /** A ready message to any destination, such as a replay. */
  send(message: WireMessage, to: Destination, signal?: AbortSignal): Promise<Receipt>
  /** A value's body, as `publish` would write it. */
  encode(channel: ChannelDefinition, value: unknown): MaybePromise<Uint8Array>
  readonly queue: Queue
}

/** What the publisher keeps of a channel. */
interface ChannelState {
  readonly encode: Encode
  readonly lanes: Map<string, KeyLane>
  /** Publishes that wait for an asynchronous schema or the first use: later ones stand behind them. */
  turn: Promise<unknown> | undefined
}

const OPTIONS = ['id', 'key', 'headers', 'correlationId', 'delay', 'priority', 'timeout', 'signal']
const RESERVED = /^(?:polybus-|ce[-_]|cloudevents[:_]|content-type$)/i
const NO_HEADERS: WireMessage['headers'] = []

export function createPublisher(options: PublisherOptions): Publisher {
  const { adapter, clock, service, use, trace } = options
  const states = new Map<ChannelDefinition, ChannelState>()
  let handovers = 0
  const queue = createQueue({
    clock,
    limits: adapter.limits,
    send: (batch, signal) => adapter.send(batch, { signal }),
    bufferMessages: options.bufferMessages,
    bufferBytes: options.bufferBytes,
    whenFull: options.whenFull,
    onBroken: options.onBroken,
  })

  const stateOf = (channel: ChannelDefinition): ChannelState => {
    let state = states.get(channel)
    if (!state) states.set(channel, (state = { encode: createEncode(channel), lanes: new Map(), turn: undefined }))
    return state
  }

  const headersOf = (given: Record<string, string> | undefined): WireMessage['headers'] => {
    if (given === undefined) return NO_HEADERS
    const headers: (readonly [string, string])[] = []
    for (const [name, value] of Object.entries(given)) {
      if (name === '' || RESERVED.test(name)) throw new PolybusError('INVALID_MESSAGE', `headers: ${show(name)} is reserved. 'polybus-*', CloudEvents names and content-type are set by Polybus.`, { sent: 'no' })
      if (typeof value !== 'string') throw new PolybusError('INVALID_MESSAGE', `headers.${name}: expected a text, got ${show(value)}.`, { sent: 'no' })
      headers.push([name, value])
    }
    return headers
  }

  const keyOf = (channel: ChannelDefinition, value: unknown, given: string | undefined): string | undefined => {
    let key: unknown = given
    if (key === undefined && channel.key) {
      try {
        key = channel.key(value)
      } catch (error) {
        throw new PolybusError('INVALID_MESSAGE', `Channel '${channel.spec.name}': the key function threw: ${describeError(error).message}`, { cause: error, sent: 'no' })
      }
    }
    if (key !== undefined && typeof key !== 'string') throw new PolybusError('INVALID_MESSAGE', `Channel '${channel.spec.name}': the key must be a text or undefined, got ${show(key)}.`, { sent: 'no' })
    return key
  }

  const enqueue = (channel: ChannelDefinition, state: ChannelState, capabilities: Capabilities, message: WireMessage, timeoutMs: number, signal: AbortSignal | undefined): Promise<Receipt> => {
    const bytes = adapter.size(message)
    const limit = capabilities.maxBytes === null ? channel.spec.maxBytes : Math.min(channel.spec.maxBytes, capabilities.maxBytes)
    if (bytes > limit)
      throw new PolybusError('MESSAGE_TOO_LARGE', `Message '${message.id ?? ''}' has ${bytes} bytes, headers included; channel '${channel.spec.name}' allows ${limit} on ${adapter.name}. Raise maxBytes, or publish a reference to the data.`, { sent: 'no' })
    const key = message.key === undefined ? undefined : queue.lane(state.lanes, message.key, capabilities.orderedBatch)
    return queue.add({ outgoing: { handover: handovers++, message, to: { kind: 'channel', channel: channel.spec.name } }, bytes, key, timeoutMs, signal })
  }

  const publish = (channel: ChannelDefinition, value: unknown, given: PublishOptions, correlation: Correlation | undefined): Promise<PublishReceipt> => {
    if (queue.closing) throw new PolybusError('CLOSED', 'The bus is closed: nothing was published.', { sent: 'no' })
    checkKeys(given, OPTIONS, 'publish()')
    const { id = randomUUID(), signal } = given
    if (typeof id !== 'string' || id === '') throw invalid('publish().id', `expected a text, got ${show(id)}.`)
    if (signal?.aborted) throw new PolybusError('ABORTED', 'The signal was aborted before the publish.', { cause: signal.reason, sent: 'no' })
    const timeoutMs = given.timeout === undefined ? options.timeoutMs : milliseconds(given.timeout, 'publish().timeout')
    const state = stateOf(channel)
    const headers = headersOf(given.headers)
    const name = channel.spec.name

    const ready = options.ensure(channel)
    const body = state.encode(value)
    const compose = (capabilities: Capabilities, bytes: Uint8Array, all: WireMessage['headers']): Promise<Receipt> => {
      refuseWhatIsMissing(adapter, name, capabilities, given)
      const message: WireMessage = {
        id, source: service, type: channel.type(value), time: clock.wall(), key: keyOf(channel, value, given.key), headers: all, body: bytes,
        contentType: channel.codec.contentType, dataSchema: undefined,
        correlationId: given.correlationId ?? correlation?.correlationId, causationId: correlation?.causationId,
      }
      return enqueue(channel, state, capabilities, message, timeoutMs, signal)
    }
    const receipt = ({ position }: Receipt): PublishReceipt => ({ id, position })

    if (use.length > 0 || trace) {
      return wrapped((all) => bounded(clock, timeoutMs, signal, Promise.all([ready, body]), ([capabilities, bytes]) => compose(capabilities, bytes, all)), { channel: name, id, key: keyOf(channel, value, given.key), value, headers: Object.fromEntries(headers) as Record<string, string> }).then(receipt)
    }
    if (!state.turn && !isPromise(ready) && !isPromise(body)) return compose(ready, body, headers).then(receipt)
    // Order is that of the calls: who waits here holds whoever comes after on this channel.
    const turn = state.turn
    const prepared = Promise.all([ready, body, turn])
    const sent = bounded(clock, timeoutMs, signal, prepared, ([capabilities, bytes]) => compose(capabilities, bytes, headers))
    const mine: Promise<unknown> = prepared.then(ignore, ignore).then(() => {
      if (state.turn === mine) state.turn = undefined
    })
    state.turn = mine
    return sent.then(receipt)
  }

  const wrapped = async (send: (headers: WireMessage['headers']) => Promise<Receipt>, ctx: PublishContext): Promise<Receipt> => {
    let receipt: Receipt | undefined
    const last = async (): Promise<void> => {
      receipt = await send(headersOf(ctx.headers))
    }
    const run = use.reduceRight<() => Promise<void>>((next, middleware) => () => middleware(ctx, next), last)
    await (trace ? trace({ channel: ctx.channel, id: ctx.id, key: ctx.key }, run) : run())
    if (!receipt) throw new PolybusError('ABORTED', 'A publish middleware returned without calling next().', { sent: 'no' })
    return receipt
  }

  return {
    queue,
    encode: (channel, value) => stateOf(channel).encode(value),
    // Never throws: every failure is the promise's.
    publish(channel, value, given = {}, correlation) {
      try {
        return publish(channel, value, given, correlation)
      } catch (error) {
        return Promise.reject(error as Error)
      }
    },
    send: (message, to, signal) => queue.add({ outgoing: { handover: handovers++, message, to }, bytes: adapter.size(message), key: undefined, timeoutMs: options.timeoutMs, signal }),
  }
}

const ignore = (): void => {}

/** Goes on with what was prepared, unless the deadline or the signal came first: then it is certainly not sent. */
function bounded<T>(clock: Clock, timeoutMs: number, signal: AbortSignal | undefined, prepared: Promise<T>, proceed: (value: T) => Promise<Receipt>): Promise<Receipt> {
  return new Promise((resolve, reject) => {
    let over = false
    const end = (): void => {
      over = true
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
    const abort = (): void => {
      end()
      reject(new PolybusError('ABORTED', 'The signal was aborted before the message was sent.', { cause: signal?.reason, sent: 'no' }))
    }
    const timer = clock.timer(timeoutMs, () => {
      end()
      reject(new PolybusError('PUBLISH_TIMEOUT', 'The channel could not be set up, or the value encoded, before the deadline. Nothing was sent.', { sent: 'no' }))
    })
    signal?.addEventListener('abort', abort)
    prepared
      .then((value) => {
        if (over) return
        end()
        return proceed(value).then(resolve)
      })
      .catch((error: unknown) => {
        end()
        reject(error as Error)
      })
  })
}

function refuseWhatIsMissing(adapter: Adapter, channel: string, capabilities: Capabilities, given: PublishOptions): void {
  if (given.delay !== undefined && !capabilities.delayedPublish) throw unsupported(adapter, channel, 'publish().delay', 'publish when it is due')
  if (given.priority !== undefined && !capabilities.priority) throw unsupported(adapter, channel, 'publish().priority', 'a channel for what is urgent')
}
const unsupported = (adapter: Adapter, channel: string, feature: string, alternative: string): PolybusError =>
  new PolybusError('UNSUPPORTED', `${adapter.name} cannot do ${feature} for channel '${channel}'. Nearest: ${alternative}.`, { sent: 'no' })
