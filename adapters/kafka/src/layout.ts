// What a channel and its groups are made of on the cluster. Data only: topology.ts makes it so.
import { type ChannelSpec, LADDER_MS } from '@polybus/core'
import { checkTopic, namesOf, removedOf } from './names.ts'
import type { KafkaChannelOptions, Settings } from './options.ts'

export interface Layout {
  readonly channel: string
  /** Declared ones. */
  readonly groups: readonly string[]
  /** To create. What is there counts: ask the broker. */
  readonly partitions: number
  /** Undefined: the broker's. */
  readonly replicationFactor: number | undefined
  readonly topic: string
  readonly options: KafkaChannelOptions
  /** The id of a consumer group. */
  group(group: string): string
  rung(group: string, delayMs: number): string
  rungs(group: string): readonly string[]
  dead(group: string): string
  /** The topic of marks, see browse.ts. */
  removed(group: string): string
  /** What every member of a group subscribes to: the channel and its rungs. */
  topics(group: string): readonly string[]
  /** Rungs, dead letters and marks. */
  ofGroup(group: string): readonly string[]
}

/** A topic as it should be. */
export interface Entity {
  readonly topic: string
  readonly partitions: number
  readonly config: Readonly<Record<string, string>>
}

const DAY_MS = 86_400_000
/** What waits for its delay must outlive a group that is down for as long as the channel's own messages do. */
const RETRY_RETENTION_MS = 14 * DAY_MS
/** Copies carry headers that the original did not have. */
const COPY_BYTES = 64 * 1024
/** What somebody sent compressed may be larger when it is copied. Some services allow no more than this. */
const LEAST_COPY_BYTES = 8 * 2 ** 20
/** As brokers have it unless told otherwise. */
export const DEFAULT_MAX_BYTES: number = 1_048_588
/** Copies must be as safe as what they were copied from. */
const INHERITED = ['min.insync.replicas', 'unclean.leader.election.enable']

export function layoutOf(settings: Settings, namespace: string | undefined, spec: ChannelSpec): Layout {
  const { name: channel, groups } = spec
  const options = settings.channels.get(channel) ?? {}
  const names = namesOf(namespace, channel)
  const topic = options.topic ?? names.topic
  const rungs = (group: string): string[] => LADDER_MS.toReversed().map((delayMs) => names.rung(group, delayMs))
  const dead = (group: string): string => options.groups?.[group]?.deadLetter ?? names.dead(group)
  const removed = (group: string): string =>
    removedOf(dead(group), `kafka().channels.${channel}.groups.${group}.deadLetter`)
  return {
    channel,
    groups,
    partitions: spec.partitions ?? options.partitions ?? settings.partitions,
    replicationFactor: options.replicationFactor ?? settings.replicationFactor,
    topic: checkTopic(topic, `kafka().channels.${channel}.topic`),
    options,
    group: (group) => options.groups?.[group]?.groupId ?? names.group(group),
    rung: names.rung,
    rungs,
    dead,
    removed,
    topics: (group) => [topic, ...rungs(group)],
    ofGroup: (group) => [...rungs(group), dead(group), removed(group)],
  }
}

export function channelEntity({ topic, partitions, options }: Layout, { retentionMs }: Settings): Entity {
  return {
    topic,
    partitions,
    config: { ...(retentionMs !== undefined && { 'retention.ms': String(retentionMs) }), ...options.config },
  }
}

/** Retry topics have the channel's partitions, so that a member can have the same ones of all. `maxBytes`: of a record batch of the channel. */
export function groupEntities(
  layout: Layout,
  settings: Settings,
  group: string,
  { partitions, maxBytes }: { readonly partitions: number; readonly maxBytes: number },
): Entity[] {
  const { config } = channelEntity(layout, settings)
  const inherited = Object.fromEntries(
    INHERITED.flatMap((name) => (config[name] === undefined ? [] : [[name, config[name]]])),
  )
  const retention = Number(config['retention.ms'] ?? 0)
  const bytes = Math.max(maxBytes + COPY_BYTES, LEAST_COPY_BYTES)
  const copies = { 'cleanup.policy': 'delete', 'max.message.bytes': String(bytes), ...inherited }
  const forEver = { 'retention.ms': '-1', 'retention.bytes': '-1' }
  const retry = {
    ...copies,
    'retention.ms': retention === -1 ? '-1' : String(Math.max(retention, RETRY_RETENTION_MS)),
    'retention.bytes': '-1',
  }
  return [
    ...layout.rungs(group).map((topic) => ({ topic, partitions, config: retry })),
    { topic: layout.dead(group), partitions: 1, config: { ...copies, ...forEver } },
    { topic: layout.removed(group), partitions: 1, config: { 'cleanup.policy': 'delete', ...inherited, ...forEver } },
  ]
}
