import { type Call, type ChannelSpec, PolybusError, type TopologyChange, type TopologyFacet } from '@polybus/core'
import type { NewTopic, Position, TopicInfo } from './client.ts'
import { differences, readBrokerConfig, readConfig } from './config.ts'
import { conflict, missing } from './errors.ts'
import { channelEntity, DEFAULT_MAX_BYTES, type Entity, groupEntities, type Layout } from './layout.ts'
import type { Session } from './session.ts'

/** What `apply` needs to know; it survives being written down as JSON. */
interface Change extends TopologyChange {
  readonly channel: ChannelSpec
  readonly group?: string
}
type Plan = Awaited<ReturnType<TopologyFacet['plan']>>
type Topics = ReadonlyMap<string, TopicInfo>

export async function plan(session: Session, specs: readonly ChannelSpec[], call: Call): Promise<Plan> {
  const layouts = specs.map((spec) => session.layoutFor(spec))
  const names = layouts.flatMap(({ topic, groups, ofGroup }) => [topic, ...groups.flatMap(ofGroup)])
  const there = await session.client.admin.topics([...new Set(names)], call)
  const each = await Promise.all(
    specs.map((spec, index) => planOne(session, spec, layouts[index] as Layout, there, call)),
  )
  return { changes: each.flatMap(({ changes }) => changes), conflicts: each.flatMap(({ conflicts }) => conflicts) }
}

async function planOne(
  session: Session,
  spec: ChannelSpec,
  layout: Layout,
  there: Topics,
  call: Call,
): Promise<{ changes: Change[]; conflicts: TopologyChange[] }> {
  const { topic, groups, partitions, options } = layout
  const info = there.get(topic)
  const changes: Change[] = []
  if (info) {
    const conflicts = await conflictsOf(session, spec, layout, info, call)
    if (conflicts.length > 0) return { changes, conflicts }
  } else if (options.declare === false) {
    const text = `there is no topic '${topic}', and it is not ours to create (declare: false)`
    return { changes, conflicts: [{ kind: 'topic', name: topic, text }] }
  } else
    changes.push({
      kind: 'create-channel',
      name: spec.name,
      text: `create the channel '${spec.name}': the topic '${topic}', ${partitions} partitions`,
      channel: spec,
    })
  for (const group of groups) {
    const absent = layout.ofGroup(group).filter((name) => !there.has(name))
    const unplaced = absent.length === 0 && info !== undefined && (await hasNoPlace(session, layout, group, info, call))
    if (absent.length > 0 || unplaced)
      changes.push({
        kind: 'create-group',
        name: `${spec.name}/${group}`,
        text: `create the group '${group}' of the channel '${spec.name}': ${
          unplaced ? `a position for the consumer group '${layout.group(group)}'` : topicsText(absent)
        }`,
        channel: spec,
        group,
      })
  }
  return { changes, conflicts: [] }
}

const topicsText = (names: readonly string[]): string =>
  `the topic${names.length > 1 ? 's' : ''} ${names.map((name) => `'${name}'`).join(', ')}`

async function conflictsOf(
  session: Session,
  spec: ChannelSpec,
  layout: Layout,
  info: TopicInfo,
  call: Call,
): Promise<TopologyChange[]> {
  const { topic, options } = layout
  const found: TopologyChange[] = []
  const add = (kind: string, text: string): void => void found.push({ kind, name: topic, text })
  const count = info.partitions.length
  if (spec.partitions !== undefined && spec.partitions !== count)
    add(
      'partitions',
      `the topic '${topic}' has ${count} partitions, not ${spec.partitions} (another number would move keys to other partitions)`,
    )
  const replicas = info.partitions[0]?.replicas.length
  if (options.replicationFactor !== undefined && replicas !== undefined && replicas !== options.replicationFactor)
    add('replication', `the topic '${topic}' has ${replicas} replicas, not ${options.replicationFactor}`)
  const { config } = channelEntity(layout, session.settings)
  if (Object.keys(config).length > 0) {
    const has = await readConfig(session, topic, call)
    if (has) for (const text of differences(topic, config, has)) add('config', text)
  }
  return found
}

/** Whether a declared group has a partition without a position: what comes there before it runs could be missed. */
async function hasNoPlace(
  session: Session,
  layout: Layout,
  group: string,
  { partitions, topic }: TopicInfo,
  call: Call,
): Promise<boolean> {
  // Who may create nothing may not be told to.
  if (!session.mayCreate) return false
  const committed = await session.client.admin.committed(layout.group(group), [topic], call)
  return committed.length < partitions.length
}

export async function apply(session: Session, changes: readonly TopologyChange[], call: Call): Promise<void> {
  const all = changes as readonly Change[]
  const byChannel = new Map(all.map(({ channel }) => [channel.name, channel]))
  await Promise.all(
    [...byChannel.values()].map((spec) => {
      const groups = all.flatMap(({ channel, group }) => (channel.name === spec.name && group ? [group] : []))
      return create(session, spec, groups, call)
    }),
  )
}

/** Creates what is missing of a channel and of these groups; what is there stays as it is. */
async function create(session: Session, spec: ChannelSpec, groups: readonly string[], call: Call): Promise<void> {
  const { admin } = session.client
  const layout = session.layoutFor(spec)
  const { topic } = layout
  const copiesFor = (here: { readonly partitions: number; readonly maxBytes: number }): readonly Entity[] =>
    groups.flatMap((group) => groupEntities(layout, session.settings, group, here))
  const info = (await admin.topics([topic], call)).get(topic)
  if (info) {
    const here = { partitions: info.partitions.length, maxBytes: await maxBytesOf(session, topic, call) }
    if (groups.length > 0) await createAll(session, layout, copiesFor(here), call)
  } else {
    if (layout.options.declare === false) throw missing(`topic '${topic}'`, false)
    const own = channelEntity(layout, session.settings)
    const maxBytes = bytesIn(own.config['max.message.bytes']) ?? (await defaultMaxBytes(session, call))
    // All in one request: whoever may publish again must find where dead letters go.
    await createAll(session, layout, [own, ...copiesFor({ partitions: layout.partitions, maxBytes })], call)
    const made = (await admin.topics([topic], call)).get(topic)
    if (!made) throw missing(`topic '${topic}' any more: it was deleted while it was created`, true)
    // Of two that create it at once with other numbers one is told.
    const conflicts = await conflictsOf(session, spec, layout, made, call)
    if (conflicts[0]) throw conflict(conflicts.map(({ text }) => text).join('; '))
  }
  for (const group of groups) if (layout.groups.includes(group)) await placeAtBeginning(session, layout, group, call)
}

async function createAll(session: Session, layout: Layout, entities: readonly Entity[], call: Call): Promise<void> {
  const { replicationFactor } = layout
  // Two groups may share a topic of dead letters; one name twice is refused.
  const byName = new Map(entities.map((entity) => [entity.topic, entity]))
  const topics = Array.from(byName.values(), ({ topic, partitions, config }) => {
    return { topic, partitions, replicationFactor, config }
  })
  try {
    await session.client.admin.createTopics(topics, call)
  } catch (error) {
    throw told(error, topics)
  }
  for (const { topic } of entities) session.forget(topic)
}

/** kafkajs keeps the broker's own words to itself: what was asked for has to do. */
function told(error: unknown, topics: readonly NewTopic[]): unknown {
  if (!PolybusError.is(error, 'INVALID_OPTION') && !PolybusError.is(error, 'BROKER_REFUSED')) return error
  const asked = topics.map(({ topic, partitions, replicationFactor = 'the default', config }) => {
    const settings = Object.entries(config).map(([name, value]) => `, ${name}=${value}`)
    return `the topic '${topic}' with partitions=${partitions}, replication.factor=${replicationFactor}${settings.join('')}`
  })
  const hint = " A name that differs from another topic's in '.' and '_' alone collides with it."
  const text = `${error.message} Asked for was ${asked.join('; ')}.${error.message.includes('INVALID_TOPIC') ? hint : ''}`
  return new PolybusError(error.code, text, { cause: error, retryable: error.retryable, sent: 'no' })
}

const bytesIn = (text: string | null | undefined): number | undefined => {
  const bytes = Number(text)
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined
}

/** How large a record batch may be there. */
const maxBytesOf = async (session: Session, topic: string, call: Call): Promise<number> =>
  bytesIn((await readConfig(session, topic, call))?.get('max.message.bytes')?.value) ?? DEFAULT_MAX_BYTES

/** And in a topic that does not say. */
async function defaultMaxBytes(session: Session, call: Call): Promise<number> {
  const [node] = await session.client.admin.brokers(call)
  const config = node === undefined ? undefined : await readBrokerConfig(session, node, call)
  return bytesIn(config?.get('message.max.bytes')?.value) ?? DEFAULT_MAX_BYTES
}

/** A declared group gets what was there before it first ran, and whoever watches its lag sees it. */
async function placeAtBeginning(session: Session, layout: Layout, group: string, call: Call): Promise<void> {
  const { admin } = session.client
  const { topic } = layout
  const [committed, ranges] = await Promise.all([
    admin.committed(layout.group(group), [topic], call),
    admin.offsets(topic, call),
  ])
  const has = new Set(committed.map(({ partition }) => partition))
  const positions = ranges
    .filter(({ partition }) => !has.has(partition))
    .map(({ partition, begin }): Position => ({ topic, partition, offset: begin }))
  if (positions.length === 0) return
  try {
    await admin.commitFor(layout.group(group), positions, call)
  } catch (error) {
    // It has members by now: they begin where it begins without a position, which is the same.
    if (!PolybusError.is(error, 'BROKER_REFUSED') && !PolybusError.is(error, 'LEASE_LOST')) throw error
  }
}

/**
 * What subscribing needs, for a group that is not declared: the rest was planned.
 *
 * @throws {PolybusError} `TOPOLOGY_CONFLICT`, or `TOPOLOGY_MISSING` where nothing may be created.
 */
export async function ensureGroup(session: Session, spec: ChannelSpec, group: string, call: Call): Promise<void> {
  const layout = session.layoutFor(spec)
  const wanted = [layout.topic, ...layout.ofGroup(group)]
  const there = await session.client.admin.topics(wanted, call)
  const absent = wanted.filter((name) => !there.has(name))
  const info = there.get(layout.topic)
  if (!session.mayCreate) {
    if (absent.length > 0) throw missing(topicsText(absent).slice(4), false)
    return
  }
  const conflicts = info ? await conflictsOf(session, spec, layout, info, call) : []
  if (conflicts[0]) throw conflict(conflicts.map(({ text }) => text).join('; '))
  if (absent.length > 0) await create(session, spec, [group], call)
}
