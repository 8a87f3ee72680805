// What a channel and its groups are made of on the server. Data only: topology.ts makes it so.
import { type ChannelSpec, LADDER_MS } from '@polybus/core'
import { LANE } from './mapping.ts'
import { type Names, namesOf } from './names.ts'
import type { RabbitmqArguments, RabbitmqChannelOptions, Settings } from './options.ts'

export interface Layout {
  readonly channel: string
  readonly keyed: boolean
  /** Each partition has a queue of its own, found by its number. Not where the queue is somebody else's. */
  readonly laned: boolean
  /** Exchange, queues and bindings are made by us alone: each message is for each group. */
  readonly own: boolean
  /** 1 for channels without keys. */
  readonly partitions: number
  readonly groups: readonly string[]
  readonly names: Names
  readonly exchange: string
  readonly options: RabbitmqChannelOptions
  /** The group's queue, or the queue of that lane. */
  queue(group: string, lane: number): string
  queues(group: string): readonly string[]
  dead(group: string): string
}

/** Something of it has a name or a form that is not ours: how many partitions it has is not written down. */
const isForeign = ({ exchange, groups }: RabbitmqChannelOptions): boolean =>
  (exchange !== undefined && (exchange.type ?? 'topic') !== 'topic') ||
  exchange?.declare === false ||
  Object.values(groups ?? {}).some(({ queue, bindings }) => queue !== undefined || bindings !== undefined)

export type Entity =
  | {
      readonly kind: 'exchange'
      readonly name: string
      readonly type: string
      readonly arguments: RabbitmqArguments
      readonly declare: boolean
    }
  | { readonly kind: 'queue'; readonly name: string; readonly arguments: RabbitmqArguments; readonly declare: boolean }
export interface Binding {
  readonly queue: string
  readonly exchange: string
  readonly routingKey: string
  readonly arguments: RabbitmqArguments
}

/** 20, the default since RabbitMQ 4.0, would delete what was looked at 21 times. */
const DELIVERY_LIMIT = 2 ** 31 - 1
const QUORUM: RabbitmqArguments = { 'x-queue-type': 'quorum', 'x-delivery-limit': DELIVERY_LIMIT }
const SINGLE: RabbitmqArguments = { 'x-single-active-consumer': true }
const NONE: RabbitmqArguments = {}

export function layoutOf(
  settings: Settings,
  namespace: string | undefined,
  spec: ChannelSpec,
  recorded: number | undefined,
): Layout {
  const { name: channel, keyed, groups } = spec
  const options = settings.channels.get(channel) ?? {}
  const laned = keyed && !isForeign(options)
  const names = namesOf(namespace, channel)
  const partitions = laned ? (recorded ?? spec.partitions ?? settings.partitions) : 1
  const queue = (group: string, lane: number): string =>
    laned ? names.queue(group, lane) : (options.groups?.[group]?.queue ?? names.queue(group))
  return {
    channel,
    keyed,
    laned,
    own: !isForeign(options),
    partitions,
    groups,
    names,
    exchange: options.exchange?.name ?? names.exchange,
    options,
    queue,
    dead: (group) => options.groups?.[group]?.deadLetter ?? names.dead(group),
    queues: (group) => Array.from({ length: partitions }, (_, lane) => queue(group, lane)),
  }
}

/** The queue that says how many partitions a keyed channel has. */
export const markerOf = ({ names }: Layout, partitions: number): Entity => ({
  kind: 'queue',
  name: names.layout,
  arguments: { 'x-queue-type': 'quorum', 'x-max-length': partitions },
  declare: true,
})

export const exchangeOf = ({ exchange, options }: Layout): Entity => ({
  kind: 'exchange',
  name: exchange,
  type: options.exchange?.type ?? 'topic',
  arguments: options.exchange?.arguments ?? NONE,
  declare: options.exchange?.declare ?? true,
})

export function entitiesOf(layout: Layout, group: string): Entity[] {
  const { names, keyed, laned, options } = layout
  const own = options.groups?.[group] ?? {}
  const argumentsOf: RabbitmqArguments =
    own.arguments?.['x-queue-type'] === 'classic'
      ? { ...(keyed && SINGLE), ...own.arguments }
      : { ...QUORUM, ...(keyed && SINGLE), ...own.arguments }
  const list: Entity[] = layout
    .queues(group)
    .map((name) => ({ kind: 'queue', name, arguments: argumentsOf, declare: own.declare ?? true }))
  const home: RabbitmqArguments = laned
    ? { 'x-dead-letter-exchange': names.lanes(group) }
    : { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': layout.queue(group, 0) }
  const helper = (name: string, type: string): void =>
    void list.push({ kind: 'exchange', name, type, arguments: NONE, declare: true })
  if (laned) helper(names.lanes(group), 'headers')
  if (keyed) helper(names.members(group), 'fanout')
  for (const delayMs of LADDER_MS)
    list.push({
      kind: 'queue',
      name: names.rung(group, delayMs),
      // at-least-once needs reject-publish; without it what expires while the group's queue is away would be lost.
      arguments: {
        ...QUORUM,
        'x-message-ttl': delayMs,
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
        ...home,
      },
      declare: true,
    })
  list.push({ kind: 'queue', name: layout.dead(group), arguments: QUORUM, declare: true })
  return list
}

/** What hangs the group's queues on the channel. */
export function bindingsOf(layout: Layout, group: string, lanes?: ReadonlySet<number>): Binding[] {
  const { exchange, laned, options } = layout
  if (!laned) {
    const everything = (options.exchange?.type ?? 'topic') === 'topic' ? '#' : ''
    const fallback = options.routingKey ?? everything
    return (options.groups?.[group]?.bindings ?? [fallback]).map((given) => {
      const { routingKey = fallback, arguments: table = NONE } =
        typeof given === 'string' ? { routingKey: given } : given
      return { queue: layout.queue(group, 0), exchange, routingKey, arguments: table }
    })
  }
  const list: Binding[] = []
  for (let lane = 0; lane < layout.partitions; lane++)
    if (!lanes || lanes.has(lane))
      list.push({ queue: layout.queue(group, lane), exchange, routingKey: String(lane), arguments: NONE })
  return list
}

/** How the rungs find the lanes. */
export const laneBindingsOf = (layout: Layout, group: string): Binding[] =>
  layout.laned
    ? layout.queues(group).map((queue, lane) => ({
        queue,
        exchange: layout.names.lanes(group),
        routingKey: '',
        arguments: { 'x-match': 'all', [LANE]: String(lane) },
      }))
    : []
