import type { Channel } from 'amqplib'
import { type Call, type ChannelSpec, PolybusError, type TopologyChange, type TopologyFacet } from '@polybus/core'
import type { Link } from './connection.ts'
import { missing } from './errors.ts'
import {
  type Binding,
  bindingsOf,
  entitiesOf,
  type Entity,
  exchangeOf,
  laneBindingsOf,
  type Layout,
  markerOf,
} from './layout.ts'

/** What `apply` needs to know; it survives being written down as JSON. */
interface Change extends TopologyChange {
  readonly channel: ChannelSpec
  readonly group?: string
}
type Plan = Awaited<ReturnType<TopologyFacet['plan']>>
/** `recorded`: the number of partitions that the broker knows of. */
export type LayoutFor = (spec: ChannelSpec, recorded?: number) => Layout

/** No channel has so many partitions: asking for it makes the server say how many there are. */
const IMPOSSIBLE = 1_000_001

export async function plan(link: Link, layoutFor: LayoutFor, specs: readonly ChannelSpec[], call: Call): Promise<Plan> {
  const changes: Change[] = []
  const conflicts: TopologyChange[] = []
  for (const spec of specs) {
    const first = layoutFor(spec)
    // What has names that are not ours has no record.
    const ours = first.laned || (!spec.keyed && first.exchange === first.names.exchange)
    // The record is written before the exchange is made: looked at in the other order, a keyed channel that somebody makes
    // just now would seem to have none.
    const exchange = await look(link, exchangeOf(first), call)
    const recorded = ours ? await readPartitions(link, first, call) : undefined
    const layout = layoutFor(spec, recorded)
    const odd = ours && oddities(layout, spec, recorded, exchange !== undefined)
    if (odd) {
      conflicts.push({ kind: 'partitions', name: spec.name, text: odd })
      continue
    }
    if (typeof exchange === 'string') conflicts.push({ kind: 'exchange', name: layout.exchange, text: exchange })
    const owned = exchangeOf(layout)
    if (exchange === undefined && !owned.declare) conflicts.push(absent(owned))
    else if (exchange === undefined || (layout.laned && recorded === undefined))
      changes.push({
        kind: 'create-channel',
        name: spec.name,
        text: `create the channel '${spec.name}': the exchange '${layout.exchange}'${layout.laned ? `, ${layout.partitions} partitions` : ''}`,
        channel: spec,
      })
    for (const group of spec.groups) {
      let missing = false
      // Side by side: one after the other takes long on a busy server.
      const entities = entitiesOf(layout, group)
      const looks = await Promise.all(entities.map((entity) => look(link, entity, call)))
      for (const [index, entity] of entities.entries()) {
        const found = looks[index]
        if (typeof found === 'string') conflicts.push({ kind: entity.kind, name: entity.name, text: found })
        else if (found === undefined && !entity.declare) conflicts.push(absent(entity))
        else if (found === undefined) missing = true
      }
      if (missing)
        changes.push({
          kind: 'create-group',
          name: `${spec.name}/${group}`,
          text: `create the group '${group}' of the channel '${spec.name}': ${layout.queues(group).length} queues from '${layout.queue(group, 0)}', its retry queues and its dead letters`,
          channel: spec,
          group,
        })
    }
  }
  return { changes, conflicts }
}

const absent = ({ kind, name }: Entity): TopologyChange => ({
  kind,
  name,
  text: `there is no ${kind} '${name}', and it is not ours to create (declare: false)`,
})

function oddities(
  layout: Layout,
  spec: ChannelSpec,
  recorded: number | undefined,
  exists: boolean,
): string | undefined {
  const marker = markerOf(layout, 0).name
  if (!spec.keyed)
    return recorded === undefined
      ? undefined
      : `the channel '${spec.name}' was created with keys: give it a key here too, or another name`
  if (recorded === undefined)
    return exists
      ? `the channel '${spec.name}' was created without keys, or its queue '${marker}' was deleted: give it no key here or another name, or, where it had keys, delete its exchange '${layout.exchange}', which is then made again with all its bindings`
      : undefined
  return spec.partitions === undefined || spec.partitions === recorded
    ? undefined
    : `the channel '${spec.name}' has ${recorded} partitions, not ${spec.partitions}`
}

/** `true`: there, and as it should be; a text: there, but different; undefined: missing. */
async function look(link: Link, entity: Entity, call: Call): Promise<true | string | undefined> {
  try {
    await link.aside(
      (channel) => (entity.kind === 'queue' ? channel.checkQueue(entity.name) : channel.checkExchange(entity.name)),
      call,
    )
  } catch (error) {
    if (PolybusError.is(error, 'TOPOLOGY_MISSING')) return undefined
    throw error
  }
  if (!entity.declare) return true
  try {
    // What is there, declared in the same words, changes nothing; in other words it is refused with the difference.
    await link.aside((channel) => declareEntity(channel, entity), call)
    return true
  } catch (error) {
    if (PolybusError.is(error, 'TOPOLOGY_CONFLICT')) return error.message
    // Who may not configure may not compare either; that it is there has to do.
    if (PolybusError.is(error, 'ACCESS_DENIED')) return true
    throw error
  }
}

/** How many partitions were written down; undefined: none. */
export async function readPartitions(link: Link, layout: Layout, call: Call): Promise<number | undefined> {
  const marker = markerOf(layout, IMPOSSIBLE)
  try {
    await link.aside((channel) => channel.checkQueue(marker.name), call)
  } catch (error) {
    if (PolybusError.is(error, 'TOPOLOGY_MISSING')) return undefined
    throw error
  }
  try {
    await link.aside((channel) => declareEntity(channel, marker), call)
  } catch (error) {
    const found = PolybusError.is(error, 'TOPOLOGY_CONFLICT') ? /x-max-length '?(\d+)/.exec(error.message) : null
    if (found) return Number(found[1])
    throw error
  }
  // It was deleted in between, and is there now with a number that means nothing.
  await link.aside((channel) => channel.deleteQueue(marker.name), call)
  throw missing(`queue '${marker.name}' any more: it was deleted while it was read`, true)
}

async function declareEntity(channel: Channel, entity: Entity): Promise<void> {
  if (entity.kind === 'queue')
    await channel.assertQueue(entity.name, { durable: true, arguments: { ...entity.arguments } })
  else await channel.assertExchange(entity.name, entity.type, { durable: true, arguments: { ...entity.arguments } })
}

export const bind = async (
  channel: Channel,
  { queue, exchange, routingKey, arguments: table }: Binding,
): Promise<void> => void (await channel.bindQueue(queue, exchange, routingKey, { ...table }))

/** Creates what is missing; what is there stays as it is. */
export async function declareChannel(link: Link, layout: Layout, call: Call): Promise<void> {
  // Written down first: of two that start at once with other numbers, one is refused here.
  if (layout.laned) await declareAll(link, [markerOf(layout, layout.partitions)], [], call)
  await declareAll(link, [exchangeOf(layout)], [], call)
}

/** Dead letters come last: a group that has them is complete, bindings included, which a plan cannot see. */
export async function declareGroup(link: Link, layout: Layout, group: string, call: Call): Promise<void> {
  const entities = entitiesOf(layout, group)
  const last = entities.filter(({ name }) => name === layout.dead(group))
  const rest = entities.filter((entity) => !last.includes(entity))
  await declareAll(link, rest, bindingsOf(layout, group), call)
  const lanes = laneBindingsOf(layout, group)
  if (lanes.length > 0) await link.aside((channel) => Promise.all(lanes.map((binding) => bind(channel, binding))), call)
  await declareAll(link, last, [], call)
}

/** A queue's bindings are written right behind it: between the two it would get nothing, and nobody could tell. */
async function declareAll(
  link: Link,
  entities: readonly Entity[],
  bindings: readonly Binding[],
  call: Call,
): Promise<void> {
  await Promise.all(
    entities.map((entity) =>
      link.aside((channel): Promise<unknown> => {
        const { kind, name, declare } = entity
        const own = kind === 'queue' ? bindings.filter(({ queue }) => queue === name) : []
        const made = declare
          ? declareEntity(channel, entity)
          : kind === 'queue'
            ? channel.checkQueue(name)
            : channel.checkExchange(name)
        return Promise.all([made, ...own.map((binding) => bind(channel, binding))])
      }, call),
    ),
  )
}

export async function apply(
  link: Link,
  layoutFor: LayoutFor,
  changes: readonly TopologyChange[],
  call: Call,
): Promise<void> {
  for (const { channel, group } of changes as readonly Change[]) {
    const plain = layoutFor(channel)
    const layout = plain.laned ? layoutFor(channel, await readPartitions(link, plain, call)) : plain
    await declareChannel(link, layout, call)
    if (group !== undefined) await declareGroup(link, layout, group, call)
  }
}
