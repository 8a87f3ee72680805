// Consumers are values: a checked policy and a handler, with no I/O.
import type { BatchContext, BatchItem, Consumer, Define, Handler, Maybe, Middleware } from '../api.ts'
import type { AnyChannel, ChannelDefinition } from '../channel.ts'
import type { Duration } from '../duration.ts'
import type { ClaimStore, IdempotencyStore, TransactionalStore } from '../idempotency.ts'
import type { Message } from '../message.ts'
import { show } from '../duration.ts'
import { PolybusError } from '../errors.ts'
import {
  checkKeys,
  checkName,
  invalid,
  nearest,
  optionalBoolean,
  optionalChoice,
  optionalDuration,
  optionalFunction,
  optionalInteger,
} from '../options.ts'
import type { UnknownTypes } from './decode.ts'
import { type RetryPolicy, retryPolicy } from './retry.ts'

export type AnyStore = ClaimStore | TransactionalStore<unknown>

/** What a consumer's value holds; {@link Consumer} shows its channel and group alone. */
export interface ConsumerDefinition {
  readonly channel: ChannelDefinition
  readonly group: string
  readonly concurrency: number | undefined
  readonly timeoutMs: number | undefined
  readonly retry: RetryPolicy | undefined
  readonly deadLetter: boolean
  /** Order-preserving dead letters. */
  readonly inOrder: boolean
  readonly store: AnyStore | undefined
  readonly idempotencyKey: ((value: unknown, message: Message) => string) | undefined
  readonly delivery: 'at-least-once' | 'at-most-once' | 'transactional'
  readonly from: 'beginning' | 'end' | undefined
  readonly unknownTypes: UnknownTypes
  readonly use: readonly Middleware[]
  readonly run:
    | { readonly kind: 'each'; readonly handler: Handler<unknown, unknown> }
    | {
        readonly kind: 'batch'
        readonly max: number
        readonly waitMs: number
        readonly handler: (items: readonly BatchItem<unknown>[], ctx: BatchContext<unknown>) => Maybe
      }
}

const POLICY = [
  'concurrency',
  'timeout',
  'retry',
  'deadLetter',
  'idempotency',
  'idempotencyKey',
  'delivery',
  'from',
  'unknownTypes',
  'use',
]
const RUN = ['handler', 'on', 'batch']

/**
 * Defines a consumer: a handler for one group of a channel, with its policy.
 *
 * @throws {PolybusError} `INVALID_OPTION` naming the field; `UNKNOWN_GROUP` where the channel declares groups and this is none.
 * @example
 * const email = consumer(orders, 'email', { concurrency: 8, handler: async (order) => send(order.id) })
 */
export const consumer: Define<Consumer> = (channel, group, run) => {
  const definition = define(channel, group, (typeof run === 'function' ? { handler: run } : run) as RawOptions)
  return { channel, group, '~run': definition }
}

interface RawOptions {
  readonly concurrency?: number
  readonly timeout?: Duration
  readonly retry?: Parameters<typeof retryPolicy>[0]
  readonly deadLetter?: boolean | 'in-order'
  readonly idempotency?: IdempotencyStore<unknown>
  readonly idempotencyKey?: ConsumerDefinition['idempotencyKey']
  readonly delivery?: ConsumerDefinition['delivery']
  readonly from?: 'beginning' | 'end'
  readonly unknownTypes?: 'dead-letter' | 'ignore'
  readonly use?: readonly Middleware[]
  readonly handler?: Handler<unknown, unknown>
  readonly on?: Record<string, Handler<unknown, unknown>>
  readonly batch?: {
    readonly max: number
    readonly wait: Duration
    readonly handler: Extract<ConsumerDefinition['run'], { kind: 'batch' }>['handler']
  }
}

function define(channel: AnyChannel, group: string, options: RawOptions): ConsumerDefinition {
  const definition = channel?.['~definition']
  if (!definition) throw invalid('consumer()', `the first argument must be a channel, got ${show(channel)}.`)
  checkName(group, 'group')
  const { groups, name } = definition.spec
  if (groups.length > 0 && !groups.includes(group)) {
    const near = nearest(group, groups)
    throw new PolybusError(
      'UNKNOWN_GROUP',
      `Channel '${name}' declares the groups ${groups.join(', ')}, not '${group}'.${near ? ` Did you mean '${near}'?` : ' Add it to the channel.'}`,
    )
  }
  const where = `consumer '${name}/${group}'`
  checkKeys(options, [...POLICY, ...RUN], where)
  const { idempotency, use = [] } = options
  if (idempotency !== undefined && idempotency?.kind !== 'claim' && idempotency?.kind !== 'transactional')
    throw invalid(`${where}.idempotency`, `expected a store such as memoryStore(), got ${show(idempotency)}.`)
  const methods = idempotency?.kind === 'transactional' ? ['run'] : ['claim', 'complete', 'release', 'renew']
  for (const method of idempotency ? methods : [])
    if (typeof (idempotency as unknown as Record<string, unknown>)[method] !== 'function')
      throw invalid(
        `${where}.idempotency.${method}`,
        'the store lacks this method. Use memoryStore() or another store of @polybus/idempotency.',
      )
  const inOrder = options.deadLetter === 'in-order'
  if (typeof options.deadLetter === 'string' && !inOrder)
    throw invalid(`${where}.deadLetter`, `expected true, false or 'in-order', got ${show(options.deadLetter)}.`)
  if (!Array.isArray(use) || use.some((middleware) => typeof middleware !== 'function'))
    throw invalid(`${where}.use`, 'expected an array of middleware functions.')
  return {
    channel: definition,
    group,
    concurrency: optionalInteger(options.concurrency, `${where}.concurrency`, 1, 10_000),
    timeoutMs: optionalDuration(options.timeout, `${where}.timeout`, 1),
    retry: retryPolicy(options.retry, `${where}.retry`),
    deadLetter: inOrder || (optionalBoolean(options.deadLetter, `${where}.deadLetter`) ?? true),
    inOrder,
    store: idempotency as AnyStore | undefined,
    idempotencyKey: optionalFunction(options.idempotencyKey, `${where}.idempotencyKey`),
    delivery:
      optionalChoice(options.delivery, `${where}.delivery`, ['at-least-once', 'at-most-once', 'transactional']) ??
      'at-least-once',
    from: optionalChoice(options.from, `${where}.from`, ['beginning', 'end']),
    unknownTypes: unknownTypes(options, definition, where),
    use,
    run: defineRun(options, definition, where),
  }
}

function unknownTypes(options: RawOptions, channel: ChannelDefinition, where: string): UnknownTypes {
  const given = optionalChoice(options.unknownTypes, `${where}.unknownTypes`, ['dead-letter', 'ignore'])
  if (given !== undefined && !channel.variants)
    throw invalid(`${where}.unknownTypes`, 'needs a channel whose schema is made with types({ … }).')
  const all = options.on?.['*']
  if (given !== undefined && all) throw invalid(`${where}.unknownTypes`, "contradicts on['*'], which gets them.")
  return given ?? (all ? 'handle' : 'dead-letter')
}

function defineRun(options: RawOptions, channel: ChannelDefinition, where: string): ConsumerDefinition['run'] {
  const given = RUN.filter((key) => options[key as keyof RawOptions] !== undefined)
  if (given.length !== 1)
    throw invalid(
      where,
      `give exactly one of handler, on and batch${given.length > 1 ? `, not ${given.join(' and ')}` : ''}.`,
    )
  const { handler, on, batch } = options
  if (batch !== undefined) {
    checkKeys(batch, ['max', 'wait', 'handler'], `${where}.batch`)
    const max = optionalInteger(batch.max, `${where}.batch.max`, 1, 10_000)
    const waitMs = optionalDuration(batch.wait, `${where}.batch.wait`)
    if (max === undefined || waitMs === undefined || typeof batch.handler !== 'function')
      throw invalid(`${where}.batch`, 'max, wait and handler are required.')
    return { kind: 'batch', max, waitMs, handler: batch.handler }
  }
  if (on !== undefined) return { kind: 'each', handler: byType(on, channel, where) }
  if (typeof handler !== 'function') throw invalid(`${where}.handler`, `expected a function, got ${show(handler)}.`)
  return { kind: 'each', handler }
}

function byType(
  on: Record<string, Handler<unknown, unknown>>,
  channel: ChannelDefinition,
  where: string,
): Handler<unknown, unknown> {
  if (!channel.variants) throw invalid(`${where}.on`, 'needs a channel whose schema is made with types({ … }).')
  const known = [...channel.known]
  checkKeys(on, [...known, '*'], `${where}.on`)
  for (const [type, handler] of Object.entries(on)) optionalFunction(handler, `${where}.on['${type}']`)
  const missing = known.filter((type) => typeof on[type] !== 'function')
  if (missing.length > 0 && !on['*']) throw invalid(`${where}.on`, `no handler for ${missing.join(', ')}.`)
  return (value, ctx) => {
    const { type, data } = value as { type: string; data: unknown }
    return ((Object.hasOwn(on, type) ? on[type] : undefined) ?? on['*'])?.(data, ctx)
  }
}
