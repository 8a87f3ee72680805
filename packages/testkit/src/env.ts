// What a case works with. Everything that it opens is closed after it.
import { randomUUID } from 'node:crypto'
import {
  type Adapter,
  type AnyChannel,
  type Bus,
  type BusEvent,
  type BusOptions,
  type Call,
  type Channel,
  type ChannelOptions,
  channel as defineChannel,
  type Clock,
  consumer as defineConsumer,
  type Consumer,
  type Context,
  createBus,
  type Duration,
  type Outgoing,
  type Policy,
  PolybusError,
  type PublishOptions,
  type PublishReceipt,
  type Schema,
  trust,
} from '@polybus/core'
import type { Facts } from './facts.ts'
import type { Faults, Foreign, Harness, Timing } from './harness.ts'
import { createLedger, type Ledger, type Run } from './ledger.ts'
import { tap, type Watcher } from './tap.ts'
import { waitFor } from './wait.ts'

/** What most cases send. */
export interface Item {
  readonly id: string
  readonly n: number
  readonly key?: string
  readonly text?: string
}
export type ItemChannel = Channel<Item, Item, string>
export type Handle<O> = (value: O, ctx: Context<unknown>) => unknown

type ChannelOf<O> = Channel<any, O, string> // oxlint-disable-line typescript/no-explicit-any -- any input
type ChannelFor<I> = Channel<I, any, string> // oxlint-disable-line typescript/no-explicit-any -- any output

/** What a quick run allows in the place of the contract's times. */
const CROWDED = 5

/** `medium` lies between: by the geometric mean, where a case does not say. */
export type Mode = 'quick' | 'medium' | 'full'

export interface Env extends Facts {
  readonly namespace: string
  /** For child processes. */
  readonly harnessUrl: string
  readonly without: readonly string[]
  readonly mode: Mode
  readonly timing: Timing
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly call: Call
  readonly ledger: Ledger
  readonly faults: Faults
  readonly foreign: Foreign | undefined
  /** Events of all buses of this case. */
  readonly events: readonly BusEvent[]
  /** Warnings and errors that the buses logged. */
  readonly logged: readonly string[]
  /** The number for this mode. */
  size(quick: number, full: number, medium?: number): number
  /**
   * How long something may take that the contract gives `ms`. In a quick run several cases share a machine and a broker: there it is
   * five times as long, and tells what hangs from what does not.
   */
  limit(ms: number): number
  /** A name that no other case has. */
  name(prefix?: string): string
  /** A fresh adapter on the case's broker, watched by the ledger and by `watcher`. */
  open(watcher?: Watcher): Adapter
  connect(adapter: Adapter): Promise<Adapter>
  bus(options?: BusOptions & { readonly watcher?: Watcher; readonly adapter?: Adapter }): Promise<Bus>
  /** A channel of items; `keyed` by the item's key. */
  channel(
    options?: Partial<Pick<ChannelOptions<Schema<Item>, string>, 'groups' | 'partitions' | 'maxBytes'>> & {
      readonly keyed?: boolean
    },
  ): ItemChannel
  /** Any other channel: the ledger must know it. */
  known<C extends AnyChannel>(channel: C): C
  /** Counts in the ledger; the handler does nothing unless one is given. `label` names the member. */
  consumer<O, Tx = undefined>(
    channel: ChannelOf<O>,
    group: string,
    options?: Policy<O, Tx> & { readonly handler?: Handle<O>; readonly label?: string },
  ): Consumer
  item(key?: string, more?: Partial<Item>): Item
  items(count: number, keys?: number): readonly Item[]
  /** Counts in the ledger; the message's id is the item's. */
  publish(bus: Bus, channel: ItemChannel, item: Item, options?: PublishOptions): Promise<PublishReceipt>
  publishAll(bus: Bus, channel: ItemChannel, items: readonly Item[], inFlight?: number): Promise<void>
  /** By a channel with any payload. */
  publishValue<I>(
    bus: Bus,
    channel: ChannelFor<I>,
    value: NoInfer<I>,
    options: PublishOptions & { id: string },
  ): Promise<PublishReceipt>
  runs(channel: { readonly name: string }, group: string, id?: string): readonly Run[]
  waitFor(condition: () => unknown, what: string | (() => string), timeoutMs?: number): Promise<void>
  /** Every resolved publish of the channel was handled (or dead-lettered) by the group. */
  handled(channel: { readonly name: string }, group: string, timeoutMs?: number): Promise<void>
}

export interface CaseEnv extends Env {
  /** Closes all that is open, twice if need be; answers what did not end in time. */
  close(): Promise<void>
  closeBuses(): Promise<void>
  readonly channels: ReadonlyMap<string, Channel<unknown, unknown, string>>
  /** Ids of what may have been sent although the adapter could not say so: it is sent again, and there may be two. */
  readonly uncertain: ReadonlySet<string>
}

export interface EnvOptions {
  readonly facts: Facts
  readonly harness: Harness
  readonly timing: Timing
  readonly without: readonly string[]
  readonly namespace: string
  readonly mode: Mode
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly faults: Faults
  readonly foreign: Foreign | undefined
}

export function createEnv({
  facts,
  harness,
  timing,
  without,
  namespace,
  mode,
  clock,
  signal,
  faults,
  foreign,
}: EnvOptions): CaseEnv {
  const ledger = createLedger(() => clock.now())
  const channels = new Map<string, Channel<unknown, unknown, string>>()
  const adapters: Adapter[] = []
  const buses: Bus[] = []
  const events: BusEvent[] = []
  const logged: string[] = []
  const uncertain = new Set<string>()
  let names = 0
  let count = 0

  const { lease } = facts.plain
  // Where a lease cannot be renewed, a handler may not outlive it.
  const shortTimeout: Duration | undefined =
    lease.ms !== null && !lease.renewable ? `${Math.floor(lease.ms / 2)}ms` : undefined
  const name = (prefix = 'c'): string => `${prefix}-${++names}`
  const logger: NonNullable<BusOptions['logger']> = {
    debug() {},
    info() {},
    warn: (fields, text) => void logged.push(`warn: ${text} ${safe(fields)}`),
    error: (fields, text) => void logged.push(`error: ${text} ${safe(fields)}`),
  }
  const deadLetters: Watcher = {
    settled(source, delivery, settlement, result) {
      if (delivery && result?.ok && settlement.kind === 'move' && settlement.to.kind === 'dead-letter')
        ledger.deadLettered(source.channel.name, source.group, idOf(delivery.message) ?? delivery.position)
    },
    sent(outgoing, result) {
      if (!result || (!result.ok && result.error.sent !== 'no')) uncertain.add(outgoing.message.id ?? '')
      if (result?.ok && outgoing.to.kind === 'dead-letter')
        ledger.deadLettered(outgoing.to.channel, outgoing.to.group, outgoing.message.id ?? '')
    },
  }
  const open = (watcher?: Watcher): Adapter => {
    const adapter = harness.open(namespace, { without })
    adapters.push(adapter)
    const watched = tap(adapter, deadLetters)
    return watcher ? tap(watched, watcher) : watched
  }
  const known: Env['known'] = (channel) => {
    channels.set(channel.name, channel)
    for (const group of channel.groups) ledger.expect(channel.name, group)
    return channel
  }

  const env: CaseEnv = {
    ...facts,
    harness,
    namespace,
    harnessUrl: harness.url ?? '',
    without,
    mode,
    timing,
    clock,
    signal,
    call: { signal },
    ledger,
    faults,
    foreign,
    events,
    logged,
    uncertain,
    channels,
    limit: (ms) => (mode === 'quick' ? CROWDED * ms : ms),
    size: (quick, full, medium = Math.round(Math.sqrt(quick * full))) => ({ quick, medium, full })[mode],
    name,
    open,
    async connect(adapter) {
      await adapter.connect({ signal, namespace, service: 'polybus', topology: 'create' })
      return adapter
    },
    async bus({ watcher, adapter = open(watcher), ...options } = {}) {
      const bus = await createBus(adapter, {
        namespace,
        logger,
        grace: '5s',
        ...(shortTimeout && { defaults: { timeout: shortTimeout } }),
        ...options,
        observe(event) {
          events.push(event)
          options.observe?.(event)
        },
      })
      buses.push(bus)
      return bus
    },
    channel({ keyed = false, groups = ['work'], ...options } = {}) {
      return known(
        defineChannel<Schema<Item>, string>(name(), {
          schema: trust<Item>(),
          groups,
          key: keyed ? (item) => item.key : undefined,
          ...options,
        }),
      )
    },
    known,
    consumer(channel, group, { handler, label = 'a', ...policy } = {}) {
      if (policy.from !== 'end') ledger.expect(channel.name, group, { once: policy.idempotency !== undefined })
      return defineConsumer(channel, group, {
        ...policy,
        async handler(value, ctx) {
          const end = ledger.started(channel.name, group, { id: ctx.message.id, attempt: ctx.attempt, consumer: label })
          try {
            await handler?.(value, ctx as Context<unknown>)
          } catch (error) {
            end(true)
            throw error
          }
          end()
        },
      })
    },
    item(key, more = {}) {
      return { id: `m-${++count}-${randomUUID().slice(0, 8)}`, n: count, ...(key !== undefined && { key }), ...more }
    },
    items: (total, keys = 0) =>
      Array.from({ length: total }, (_, index) => env.item(keys > 0 ? `k${index % keys}` : undefined)),
    publish: (bus, channel, item, options = {}) =>
      env.publishValue(bus, channel, item, { ...options, id: options.id ?? item.id }),
    async publishValue(bus, channel, value, options) {
      const { key } = channel['~definition']
      const publishing = ledger.publishing(bus, channel.name, options.id, options.key ?? key?.(value))
      try {
        const receipt = await bus.publish(channel, value, options)
        publishing()
        return receipt
      } catch (error) {
        publishing(PolybusError.is(error) ? error : {})
        throw error
      }
    },
    async publishAll(bus, channel, items, inFlight = 256) {
      let next = 0
      const one = async (): Promise<void> => {
        for (let item = items[next++]; item; item = items[next++]) await env.publish(bus, channel, item)
      }
      await Promise.all(Array.from({ length: Math.min(inFlight, items.length) }, one))
    },
    runs(channel, group, id) {
      const runs = ledger.runs(channel.name, group)
      return id === undefined ? runs : runs.filter((run) => run.id === id)
    },
    waitFor: (condition, what, timeoutMs = timing.patienceMs) => waitFor(clock, condition, what, { timeoutMs, signal }),
    handled: (channel, group, timeoutMs) =>
      env.waitFor(
        () => ledger.open(channel.name, group).length === 0,
        () =>
          `${channel.name}/${group} to handle all; open: ${ledger.open(channel.name, group).length} of ${ledger.resolved(channel.name).length}`,
        timeoutMs,
      ),
    async closeBuses() {
      await Promise.all(buses.splice(0).map((bus) => bus.close({ grace: '1s' })))
    },
    async close() {
      await env.closeBuses()
      await Promise.all(adapters.splice(0).map((adapter) => adapter.close()))
    },
  }
  return env
}

/** The id that the message will keep: of a foreign one the frozen id. */
export function idOf(message: Outgoing['message']): string | undefined {
  const frozen = message.headers.find(([name]) => name === 'polybus-id')?.[1]
  return typeof frozen === 'string' ? frozen : message.id
}

function safe(fields: object): string {
  const error = (fields as { error?: unknown; err?: unknown }).error ?? (fields as { err?: unknown }).err
  return error instanceof Error ? error.message : ''
}
