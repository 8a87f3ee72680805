// Lifecycle: the one file that wires publishing, consuming and dead letters to an adapter.
import type { Adapter, Capabilities, RewindTarget, Stats } from './adapter.ts'
import type { Bus, BusEvent, BusOptions, Health, Publish, PublishOptions, PublishReceipt, Subscription } from './api.ts'
import type { AnyChannel, ChannelDefinition } from './channel.ts'
import { systemClock } from './clock.ts'
import { type AnyStore, consumer } from './consume/consumer.ts'
import { createConsumers } from './consumers.ts'
import { createAdmin } from './dead-letter/admin.ts'
import { type Duration, milliseconds, show } from './duration.ts'
import { describeError, PolybusError } from './errors.ts'
import { groupPrefix } from './idempotency.ts'
import { inspect } from './inspect.ts'
import type { Message } from './message.ts'
import type { Outputs } from './outputs.ts'
import { checkKeys, checkName, invalid } from './options.ts'
import { type Correlation, createPublisher } from './publish/publisher.ts'
import { ready } from './ready.ts'
import { settings as readSettings } from './settings.ts'
import { createSupervisor } from './supervisor.ts'
import { within } from './within.ts'

/** For the testkit. */
export interface BusInternals {
  /** Changes the delay of every retry. */
  readonly delayMs?: (delayMs: number) => number
}

const STATS_MS = 10_000
const NO_ANSWER_MS = 15_000

/**
 * A bus over an adapter. Resolves when the broker is connected; `connect` of the package `polybus` adds adapters by URL.
 *
 * @throws {PolybusError} `INVALID_OPTION`, `INCOMPATIBLE_ADAPTER`, `CONNECT_TIMEOUT`, `AUTHENTICATION_FAILED`, `ACCESS_DENIED`.
 */
export async function createBus(
  adapter: Adapter,
  options: BusOptions = {},
  internals: BusInternals = {},
): Promise<Bus> {
  if (typeof adapter?.send !== 'function')
    throw invalid('connect().broker', `expected a URL or an adapter, got ${show(adapter)}.`)
  if (adapter.seam !== 1)
    throw new PolybusError(
      'INCOMPATIBLE_ADAPTER',
      `Adapter '${adapter.name}' was written for seam ${show(adapter.seam)}; this core has seam 1. Install versions of @polybus/core and the adapter that fit.`,
    )
  const settings = readSettings(options)
  const clock = adapter.clock ?? systemClock()
  const { log } = settings
  let closed: Promise<void> | undefined

  const complain = (error: unknown): void => log.error({ err: describeError(error) }, 'observe threw')
  const emit = (event: BusEvent): void => {
    try {
      const returned: unknown = settings.observe?.(event)
      if (returned instanceof Promise) returned.catch(complain)
    } catch (error) {
      complain(error)
    }
  }
  const supervisor = createSupervisor({
    adapter,
    clock,
    call: { namespace: settings.namespace, service: settings.service, topology: settings.topology },
    connectTimeoutMs: settings.connectTimeoutMs,
    strict: settings.strict,
    log,
    onUp: (up) => publisher.queue.online(up),
    onReconnect: (error) => emit({ kind: 'reconnect', channel: '', group: '', error }),
  })
  const publisher = createPublisher({
    adapter,
    clock,
    service: settings.service,
    ...settings.publishing,
    trace: settings.trace.publish?.bind(settings.trace),
    ensure: supervisor.ensure,
    onBroken: (error) => supervisor.broken(error, supervisor.generation),
  })
  await supervisor.connect().catch(async (error: unknown) => {
    await supervisor.close().catch(() => {})
    throw error
  })

  const publishTo = (
    channel: AnyChannel,
    value: unknown,
    given?: PublishOptions,
    correlation?: Correlation,
    outputs?: Outputs,
  ): Promise<PublishReceipt> => {
    try {
      return publisher.publish(definitionOf(channel), value, given, correlation, outputs)
    } catch (error) {
      return Promise.reject(error) // oxlint-disable-line typescript/prefer-promise-reject-errors -- whatever was thrown
    }
  }
  const publish: Publish = (channel, value, given) => publishTo(channel, value, given)
  const publishFrom =
    (message: Message, outputs: Outputs | undefined): Publish =>
    (channel, value, given) =>
      publishTo(
        channel,
        value,
        given,
        { correlationId: message.correlationId ?? message.id, causationId: message.id },
        outputs,
      )

  // ---- half-open sockets: a send that gets no answer
  let watch: { cancel(): void } | undefined
  const watchSends = (): void => {
    watch = clock.timer(NO_ANSWER_MS / 3, () => {
      if (publisher.queue.abandon(NO_ANSWER_MS))
        supervisor.broken(
          new PolybusError('CONNECTION_FAILED', 'The broker has not answered a publish.'),
          supervisor.generation,
        )
      watchSends()
    })
  }
  watchSends()

  const consumers = createConsumers({
    adapter,
    clock,
    settings,
    supervisor,
    emit,
    publishFrom,
    delayMs: internals.delayMs ?? ((delayMs) => delayMs),
    send: publisher.send,
  })

  // ---- ending
  const graceOf = (given: { grace?: Duration } | undefined, where: string): number => {
    if (given) checkKeys(given, ['grace'], where)
    return given?.grace === undefined ? settings.graceMs : milliseconds(given.grace, `${where}.grace`)
  }
  const close = async (graceMs: number): Promise<void> => {
    const until = clock.now() + graceMs
    await consumers.stop(graceMs)
    const over = new AbortController()
    const timer = clock.timer(Math.max(0, until - clock.now()), () => over.abort())
    await publisher.close(over.signal)
    timer.cancel()
    watch?.cancel()
    await supervisor.close()
  }

  /** For calls that have no deadline of their own. */
  const ensureSoon = (definition: ChannelDefinition): Promise<Capabilities> =>
    within(clock, STATS_MS, async () => supervisor.ensure(definition))
  const known = async (channel: AnyChannel, group: string): Promise<ChannelDefinition> => {
    const definition = definitionOf(channel)
    checkName(group, 'group')
    await ensureSoon(definition)
    return definition
  }

  return {
    publish,
    start: consumers.start,
    subscribe: async (channel, group, run) => {
      const [subscription] = await consumers.start(consumer(channel, group, run))
      return subscription as Subscription
    },
    deadLetters: (channel, group, given = {}) => {
      checkName(group, 'group')
      checkKeys(given, ['store'], 'deadLetters()')
      const { store } = given as { store?: AnyStore }
      const definition = definitionOf(channel)
      const parking = (): AnyStore['parking'] => (store ?? consumers.find(definition.spec.name, group)?.store)?.parking
      return createAdmin(
        { adapter, clock, publisher, ask: supervisor.ask, ensure: ensureSoon, log, parking },
        definition,
        group,
      ) as never
    },
    async stats(channel, group): Promise<Stats> {
      const definition = await known(channel, group)
      const { stats } = adapter
      if (!stats) return { backlog: null, inFlight: null, oldestAgeMs: null, deadLetters: null }
      return supervisor.ask(STATS_MS, (signal) => stats.read(definition.spec, group, { signal }), { again: true })
    },
    inspect: async (channel) => {
      const { spec } = definitionOf(channel)
      return supervisor.ask(STATS_MS, (signal) => inspect(adapter, spec, { signal }), { again: true })
    },
    prepare: async (...channels) => {
      await Promise.all(
        channels.map(definitionOf).map(async (definition) => {
          await ready(definition, clock, settings.connectTimeoutMs)
          await ensureSoon(definition)
        }),
      )
    },
    async rewind(channel, group, given) {
      const definition = await known(channel, group)
      checkKeys(given, ['to', 'dedupe'], 'rewind()')
      const target = rewindTarget(given.to)
      if (given.dedupe !== 'keep' && given.dedupe !== 'forget')
        throw invalid('rewind().dedupe', `expected 'keep' or 'forget', got ${show(given.dedupe)}.`)
      const capabilities = adapter.capabilities(definition.spec)
      const { rewind } = adapter
      if (!rewind || !capabilities.rewind.includes(target.kind))
        throw new PolybusError(
          'UNSUPPORTED',
          `${adapter.name} cannot rewind to ${target.kind === 'time' ? 'a time' : `the ${target.kind}`}. Nearest: publish the messages again, or replay dead letters.`,
        )
      if (given.dedupe === 'forget') {
        const consuming = consumers.find(definition.spec.name, group)
        if (!consuming)
          throw invalid('rewind().dedupe', `'forget' needs the group's consumer on this bus, for its store.`)
        if (consuming.store && !consuming.store.forget)
          throw new PolybusError(
            'UNSUPPORTED',
            "The consumer's store cannot forget. Nearest: dedupe: 'keep', or a store with forget.",
          )
        await consuming.store?.forget?.(groupPrefix(definition.spec.name, group))
      }
      const move = (signal: AbortSignal): Promise<void> => rewind.rewind(definition.spec, group, target, { signal })
      await supervisor.ask(STATS_MS, move, { again: true })
    },
    health(): Health {
      const reasons = closed
        ? [{ down: true, text: 'the bus is closed' }]
        : [...supervisor.reasons(), ...consumers.reasons()]
      return {
        status: reasons.some(({ down }) => down) ? 'down' : reasons.length > 0 ? 'degraded' : 'up',
        reasons: reasons.map(({ text }) => text),
        drift: consumers.drift(),
      }
    },
    stop: async (given) => {
      const graceMs = graceOf(given, 'stop()')
      await consumers.stop(graceMs)
    },
    close: async (given) => {
      const graceMs = graceOf(given, 'close()')
      await (closed ??= close(graceMs))
    },
    [Symbol.asyncDispose]: () => (closed ??= close(settings.graceMs)),
  }
}

function definitionOf(channel: AnyChannel): ChannelDefinition {
  const definition = (channel as AnyChannel | undefined)?.['~definition']
  if (!definition) throw invalid('channel', `expected a channel made with channel(…), got ${show(channel)}.`)
  return definition
}

function rewindTarget(to: unknown): RewindTarget {
  if (to === 'beginning' || to === 'end') return { kind: to }
  if (to instanceof Date && !Number.isNaN(to.getTime())) return { kind: 'time', time: to.getTime() }
  if (typeof to === 'string' && to !== '') return { kind: 'position', position: to }
  throw invalid('rewind().to', `expected 'beginning', 'end', a Date or a position, got ${show(to)}.`)
}
