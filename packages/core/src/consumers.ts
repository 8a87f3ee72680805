// Which consumers run on a bus: all of a start() or none, each channel and group once, and an end for all of them.
import type { Adapter } from './adapter.ts'
import type { BusEvent, Consumer, Drift, Publish, Subscription } from './api.ts'
import { type Clock, sleep } from './clock.ts'
import type { ConsumerDefinition } from './consume/consumer.ts'
import { runConsumer, type RunOptions } from './consume/run.ts'
import type { RunningSubscription } from './consume/subscription.ts'
import { show } from './duration.ts'
import { PolybusError } from './errors.ts'
import type { MaybePromise } from './idempotency.ts'
import type { Message } from './message.ts'
import { invalid } from './options.ts'
import type { Outputs } from './outputs.ts'
import { ready, storeReady } from './ready.ts'
import type { Settings } from './settings.ts'
import type { Supervisor } from './supervisor.ts'

export interface ConsumersOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly settings: Settings
  readonly supervisor: Supervisor
  readonly emit: (event: BusEvent) => void
  readonly publishFrom: (message: Message, outputs: Outputs | undefined) => Publish
  readonly delayMs: (delayMs: number) => number
  readonly send: RunOptions['send']
}

export interface Consumers {
  start(...consumers: readonly Consumer[]): Promise<readonly Subscription[]>
  /** Ends them all; nothing starts afterwards. Twice is the same stop. */
  stop(graceMs: number): Promise<void>
  /** The definition of what runs for this channel and group. */
  find(channel: string, group: string): ConsumerDefinition | undefined
  reasons(): ReturnType<RunningSubscription['reasons']>
  drift(): readonly Drift[]
}

interface Running {
  readonly definition: ConsumerDefinition
  readonly subscription: RunningSubscription
}

export function createConsumers(options: ConsumersOptions): Consumers {
  const { adapter, clock, settings, supervisor, emit, publishFrom, delayMs, send } = options
  const running = new Map<string, Running>()
  const starting = new Set<string>()
  /** All that may receive, those of a start() under way too. */
  const live = new Set<RunningSubscription>()
  let stopped: Promise<void> | undefined

  const end = async (subscription: RunningSubscription, graceMs: number): Promise<void> => {
    await subscription.stop(graceMs)
    live.delete(subscription)
  }
  /** @throws {PolybusError} `CONNECT_TIMEOUT` */
  const inTime = async <T>(work: MaybePromise<T>, limitMs: number, text: (limitMs: number) => string): Promise<T> => {
    const expired = new AbortController()
    const late = sleep(clock, limitMs, expired.signal).then((): never | Promise<never> => {
      if (expired.signal.aborted) return new Promise<never>(() => {})
      throw new PolybusError('CONNECT_TIMEOUT', text(limitMs))
    })
    return Promise.race([work, late]).finally(() => expired.abort())
  }
  const startOne = async (definition: ConsumerDefinition): Promise<Running> => {
    const limitMs = settings.connectTimeoutMs + (adapter.joinMs ?? 0)
    await ready(definition.channel, clock, settings.connectTimeoutMs)
    await storeReady(definition.store, clock, settings.connectTimeoutMs)
    const capabilities = await inTime(
      supervisor.ensure(definition.channel),
      limitMs,
      (ms) => `Consumer '${nameOf(definition)}': its channel could not be set up within ${ms} ms. ${why(supervisor)}`,
    )
    if (stopped) throw new PolybusError('CLOSED', 'The bus was stopped meanwhile.')
    const subscription = runConsumer(definition, {
      adapter,
      clock,
      settings,
      capabilities,
      emit,
      publishFrom,
      delayMs,
      send,
      link: { up: supervisor.up, broken: supervisor.broken },
    })
    live.add(subscription)
    try {
      await inTime(
        subscription.started,
        limitMs,
        (ms) => `Consumer '${nameOf(definition)}' could not subscribe within ${ms} ms. ${why(subscription)}`,
      )
    } catch (error) {
      await end(subscription, 0)
      throw error
    }
    return { definition, subscription }
  }
  const start = async (...consumers: readonly Consumer[]): Promise<readonly Subscription[]> => {
    if (stopped)
      throw new PolybusError('CLOSED', 'The bus is stopped: it starts no consumers. Make a new one with connect().')
    const definitions = consumers.map((value) => {
      const definition = value?.['~run'] as ConsumerDefinition | undefined
      if (!definition?.channel)
        throw invalid('start()', `expected consumers made with consumer(…), got ${show(value)}.`)
      return definition
    })
    for (const [index, definition] of definitions.entries()) {
      const name = nameOf(definition)
      const other = running.get(name)
      if (
        (other && !other.subscription.stopped) ||
        starting.has(name) ||
        definitions.some((candidate, at) => at < index && nameOf(candidate) === name)
      )
        throw new PolybusError(
          'DUPLICATE_CONSUMER',
          `This bus already runs a consumer for channel '${definition.channel.spec.name}' and group '${definition.group}'. Raise its concurrency, or use another group.`,
        )
    }
    for (const definition of definitions) starting.add(nameOf(definition))
    try {
      const results = await Promise.allSettled(definitions.map(startOne))
      const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      const failure = results.find((result) => result.status === 'rejected')
      if (failure || stopped) {
        // All or none.
        await Promise.all(started.map(({ subscription }) => end(subscription, settings.graceMs)))
        throw failure ? failure.reason : new PolybusError('CLOSED', 'The bus was stopped meanwhile.')
      }
      for (const entry of started) running.set(nameOf(entry.definition), entry)
      return started.map(({ subscription }) => ({
        pause: subscription.pause,
        resume: subscription.resume,
        stop: () => end(subscription, settings.graceMs),
      }))
    } finally {
      for (const definition of definitions) starting.delete(nameOf(definition))
    }
  }
  const stop = async (graceMs: number): Promise<void> => {
    await Promise.all([...live].map((subscription) => end(subscription, graceMs)))
  }

  return {
    start,
    stop: (graceMs) => (stopped ??= stop(graceMs)),
    find: (channel, group) => running.get(`${channel}/${group}`)?.definition,
    drift: () => [...running.values()].flatMap(({ subscription }) => subscription.drift() ?? []),
    reasons: () => [...running.values()].flatMap(({ subscription }) => subscription.reasons()),
  }
}

const nameOf = (definition: ConsumerDefinition): string => `${definition.channel.spec.name}/${definition.group}`

const why = (of: Pick<RunningSubscription, 'reasons'>): string =>
  of
    .reasons()
    .map(({ text }) => text)
    .join('; ') || 'The adapter has not said why: the broker is slow, or the group waits for another member.'
