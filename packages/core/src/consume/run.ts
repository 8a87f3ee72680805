// From a consumer's value to a running subscription: defaults, the rules of what exists, and the stages put together.
import type { Adapter, Capabilities, Destination, Feed } from '../adapter.ts'
import type { BusEvent, Publish } from '../api.ts'
import type { Clock } from '../clock.ts'
import type { PolybusError } from '../errors.ts'
import { describeError } from '../errors.ts'
import { groupPrefix } from '../idempotency.ts'
import type { Message, WireMessage } from '../message.ts'
import type { Outputs } from '../outputs.ts'
import { refuseUnsupported } from '../rules.ts'
import { DEFAULTS, type Settings } from '../settings.ts'
import { createAttempt } from './attempt.ts'
import { createBatch } from './batch.ts'
import { backoffMs } from './decide.ts'
import { compose, type Invoke } from './compose.ts'
import type { AnyStore, ConsumerDefinition } from './consumer.ts'
import { createDecode } from './decode.ts'
import { createClaims, createTransactions, type Deduplicate } from './deduplicate.ts'
import { heldBelowMs } from './delay.ts'
import type { RetryPolicy } from './retry.ts'
import type { Link } from './feed-loop.ts'
import { createParked, type Parked } from './parked.ts'
import { createSubscription, type RunningSubscription } from './subscription.ts'
import { createTimeouts } from './timeout.ts'
import { createUnrun } from './unrun.ts'

export interface RunOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly settings: Settings
  readonly capabilities: Capabilities
  readonly link: Link
  readonly emit: (event: BusEvent) => void
  readonly publishFrom: (message: Message, outputs: Outputs | undefined) => Publish
  readonly delayMs: (delayMs: number) => number
  /** Publishes a message as it is. */
  readonly send: (message: WireMessage, to: Destination) => Promise<unknown>
}

/** So many hand-overs above the attempts are nothing to worry about yet: cut connections, deploys. */
const SUSPECT_AFTER = 2
/** But twice the slots, where that is more. */
const MOST_IN_FLIGHT = 2000
const MAX_BYTES_IN_FLIGHT = 32 * 1024 * 1024

export function runConsumer(definition: ConsumerDefinition, options: RunOptions): RunningSubscription {
  const { adapter, clock, settings, capabilities } = options
  const { channel, group, run, store } = definition
  const { name, keyed } = channel.spec
  const atMostOnce = definition.delivery === 'at-most-once'
  const retry: RetryPolicy =
    atMostOnce && !definition.retry
      ? { ...settings.retry, attempts: 1, rules: [] }
      : (definition.retry ?? settings.retry)
  const timeoutMs = definition.timeoutMs ?? settings.timeoutMs
  refuseUnsupported(adapter.name, `${name}/${group}`, {
    delivery: definition.delivery,
    store: store?.kind ?? 'none',
    keyed,
    inOrder: definition.inOrder,
    parking: store?.parking ? (store.parking.durable ? 'durable' : 'process') : 'none',
    batch: run.kind === 'batch',
    wait: retry.wait,
    from: definition.from,
    retries: definition.retry !== undefined && mostAttempts(definition.retry) > 1,
    timeoutMs,
    heldMs: heldMs(retry, timeoutMs),
    capabilities,
  })
  if (definition.from === undefined && !capabilities.from.includes('beginning') && !channel.spec.groups.includes(group))
    settings.log.warn(
      { channel: name, group, adapter: adapter.name },
      'the broker keeps no history: the group gets what is published from now on. Declare it on the channel to have what comes before its first run',
    )

  const concurrency =
    definition.concurrency ??
    settings.concurrency ??
    (run.kind === 'batch' ? DEFAULTS.batchConcurrency : DEFAULTS.concurrency)
  const slots = run.kind === 'batch' ? concurrency * run.max : concurrency
  let feed: Feed | undefined
  const handler: Invoke =
    run.kind === 'batch'
      ? createBatch({
          clock,
          max: run.max,
          waitMs: run.waitMs,
          concurrency,
          most: () => feed?.most ?? Infinity,
          handler: run.handler,
        })
      : run.handler
  const timeouts = createTimeouts(clock, timeoutMs)
  const unrun = createUnrun()
  let storeTrouble: PolybusError | undefined
  const onTrouble = (error: PolybusError | undefined): void => {
    storeTrouble = error
    if (error) settings.log.warn({ channel: name, group, err: describeError(error) }, 'the idempotency store failed')
  }

  const parked =
    definition.inOrder && store?.parking
      ? createParked({
          parking: store.parking,
          channel: name,
          group,
          clock,
          onTrouble,
          log: settings.log,
          send: (message) => options.send(message, { kind: 'group', channel: name, group, delayMs: 0 }),
        })
      : undefined

  return createSubscription({
    adapter,
    clock,
    definition,
    capabilities,
    concurrency: slots,
    prefetch: prefetchOf(run.kind, slots),
    // What waits its turn would lose a lease that cannot be renewed, and count as handed out.
    ahead: capabilities.lease.ms !== null && !capabilities.lease.renewable ? slots : Infinity,
    maxBytes: MAX_BYTES_IN_FLIGHT,
    from: definition.from ?? (capabilities.from.includes('beginning') ? 'beginning' : 'end'),
    policy: {
      retry,
      wait: retry.wait ?? (keyed || capabilities.delay.kind === 'none' ? 'held' : 'released'),
      deadLetter: definition.deadLetter,
      heldBelowMs: heldBelowMs(capabilities.delay),
      delayMs: options.delayMs,
    },
    attempt: createAttempt({
      decode: createDecode(channel, definition.unknownTypes),
      deduplicate: deduplication(store, clock, onTrouble, parked),
      parked,
      idempotencyKey: definition.idempotencyKey,
      keyPrefix: groupPrefix(name, group),
      timeouts,
      collects: run.kind === 'batch',
      invoke: compose([...settings.use, ...definition.use], handler),
      shared: {
        channel: name,
        group,
        attempts: retry.attempts,
        log: settings.log,
        publishFrom: options.publishFrom,
        transactional: definition.delivery === 'transactional',
      },
      trace: settings.trace.attempt?.bind(settings.trace),
      deliveryLimit: capabilities.crashGuard === null ? Infinity : mostAttempts(retry) + capabilities.crashGuard,
      unrun,
    }),
    parked,
    unrun,
    suspectAfter: capabilities.crashGuard === null ? Infinity : mostAttempts(retry) + SUSPECT_AFTER,
    onFeed: (fresh) => void (feed = fresh),
    overdue: () => timeouts.overdue,
    storeTrouble: () => storeTrouble,
    link: options.link,
    log: settings.log,
    emit: options.emit,
  })
}

const deduplication = (
  store: AnyStore | undefined,
  clock: Clock,
  onTrouble: (error: PolybusError | undefined) => void,
  parked: Parked | undefined,
): Deduplicate | undefined =>
  store === undefined
    ? undefined
    : store.kind === 'claim'
      ? createClaims(store, { clock, onTrouble, parked })
      : createTransactions(store, parked)

/** Enough ahead that handlers never wait for a round trip, and four times that while they are fast. */
function prefetchOf(kind: 'batch' | 'each', slots: number): { readonly least: number; readonly most: number } {
  const limit = Math.max(MOST_IN_FLIGHT, slots * 2)
  const least = kind === 'batch' ? slots * 2 : Math.min(Math.max(slots * 16, 64), limit)
  return { least, most: Math.min(least * 4, limit) }
}

const mostAttempts = ({ attempts, rules }: RetryPolicy): number =>
  Math.max(attempts, ...rules.map((rule) => rule.attempts))

/** All attempts but the first with all waits between them; the sum stops being exact where it is out of all reason anyway. */
function heldMs(retry: RetryPolicy, timeoutMs: number): number {
  let sum = 0
  for (let attempt = 1; attempt < Math.min(retry.attempts, 1000); attempt++)
    sum += backoffMs(retry, attempt) + timeoutMs
  return sum
}
