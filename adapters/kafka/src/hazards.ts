import type { Call, ChannelSpec, Hazard } from '@polybus/core'
import type { TopicInfo } from './client.ts'
import { type Config, readBrokerConfig, readConfig } from './config.ts'
import type { Layout } from './layout.ts'
import type { KafkaHazard } from './options.ts'
import type { Session } from './session.ts'

type Add = (kind: KafkaHazard, text: string) => void

const WEEK_MS = 7 * 86_400_000
const MINUTE_MS = 60_000

/** What was seen of a channel: settings are undefined where the user may not look. */
export interface Facts {
  readonly layout: Layout
  readonly topics: readonly { readonly info: TopicInfo; readonly config: Config | undefined }[]
  readonly broker: Config | undefined
}

/** What on this cluster can lose messages, as far as the user may look. */
export async function readHazards(session: Session, spec: ChannelSpec, call: Call): Promise<readonly Hazard[]> {
  const { admin } = session.client
  const layout = session.layoutFor(spec)
  const { topic, groups, rungs, dead } = layout
  const infos = await admin.topics([topic, ...groups.flatMap((group) => [...rungs(group), dead(group)])], call)
  const [topics, [broker]] = await Promise.all([
    Promise.all(
      [...infos.values()].map(async (info) => ({ info, config: await readConfig(session, info.topic, call) })),
    ),
    admin.brokers(call),
  ])
  const facts = {
    layout,
    topics,
    broker: broker === undefined ? undefined : await readBrokerConfig(session, broker, call),
  }
  const accepted = session.settings.acceptedHazards
  return hazardsOf(facts).filter(({ kind }) => !accepted.includes(kind))
}

/** Pure: what those facts mean. */
export function hazardsOf({ layout, topics, broker }: Facts): readonly (Hazard & { readonly kind: KafkaHazard })[] {
  const found: (Hazard & { readonly kind: KafkaHazard })[] = []
  const add: Add = (kind, text) => void found.push({ kind, text })
  const dead = new Set(layout.groups.map((group) => layout.dead(group)))
  crashes(add, layout)
  replicas(
    add,
    topics.map(({ info }) => info),
  )
  for (const { info, config } of topics) {
    if (!config) continue
    if (info.topic === layout.topic) ofChannel(add, layout, config)
    else ofCopies(add, info.topic, dead.has(info.topic), config)
    if (info.partitions.some(({ replicas: all }) => all.length > 1)) ofReplicated(add, info.topic, config)
  }
  if (broker) ofBroker(add, broker)
  return found
}

/** A group without replicas is one hazard, not one a topic. */
function replicas(add: Add, infos: readonly TopicInfo[]): void {
  const single = infos.filter(({ partitions }) => partitions.some(({ replicas: all }) => all.length < 2))
  const [first] = single
  if (first)
    add(
      'replication',
      `The topic '${first.topic}'${single.length > 1 ? ` and ${single.length - 1} more of its channel` : ''} lie${single.length > 1 ? '' : 's'} on one broker alone: what its disk loses is lost (replication.factor 3 mends it)`,
    )
}

/** Kafka counts no hand-overs, so that nothing stops a message that kills its process. */
function crashes(add: Add, { channel }: Layout): void {
  add(
    'crash-guard',
    `A message of '${channel}' that kills its process is handed out again for ever: Kafka does not count (run handlers that cannot crash, or watch restarts)`,
  )
}

function ofReplicated(add: Add, topic: string, config: Config): void {
  const least = Number(config.get('min.insync.replicas')?.value ?? 1)
  if (least < 2)
    add(
      'min-insync-replicas',
      `The topic '${topic}' confirms what one replica has (min.insync.replicas ${least}): a failover can lose it (2 mends it)`,
    )
  if (config.get('unclean.leader.election.enable')?.value === 'true')
    add(
      'unclean-leader-election',
      `The topic '${topic}' may be led by a replica that lacks messages (unclean.leader.election.enable; false mends it)`,
    )
}

function ofChannel(add: Add, { topic, options }: Layout, config: Config): void {
  const policy = config.get('cleanup.policy')?.value ?? 'delete'
  if (policy.includes('compact') && options.config?.['cleanup.policy'] === undefined)
    add(
      'compaction',
      `The topic '${topic}' is compacted: of each key only the last message is kept, whether it was handled or not (say so in kafka().channels, config 'cleanup.policy', if it is meant)`,
    )
  if (!policy.includes('delete')) return
  const retention = Number(config.get('retention.ms')?.value ?? WEEK_MS)
  // Who said how long for this channel knows.
  if (retention >= 0 && retention < WEEK_MS && options.config?.['retention.ms'] === undefined)
    add(
      'retention',
      `The topic '${topic}' keeps messages for ${hours(retention)}, also those that no group has handled (retention.ms; a week or more mends it)`,
    )
  bySize(add, topic, config)
}

function ofCopies(add: Add, topic: string, isDead: boolean, config: Config): void {
  const retention = Number(config.get('retention.ms')?.value ?? WEEK_MS)
  if (config.get('cleanup.policy')?.value?.includes('compact'))
    add(
      'compaction',
      `The topic '${topic}' is compacted: messages of one key replace each other (cleanup.policy delete mends it)`,
    )
  if (isDead && retention >= 0)
    add('retention', `The topic '${topic}' forgets dead letters after ${hours(retention)} (retention.ms -1 mends it)`)
  else if (retention >= 0 && retention < WEEK_MS)
    add(
      'retention',
      `The topic '${topic}' forgets retries after ${hours(retention)} (retention.ms; a week or more mends it)`,
    )
  bySize(add, topic, config)
}

function bySize(add: Add, topic: string, config: Config): void {
  const bytes = Number(config.get('retention.bytes')?.value ?? -1)
  if (bytes >= 0)
    add(
      'retention',
      `The topic '${topic}' keeps ${bytes} bytes a partition, handled or not (retention.bytes -1 mends it)`,
    )
}

function ofBroker(add: Add, config: Config): void {
  const minutes = Number(config.get('offsets.retention.minutes')?.value ?? 10_080)
  if (minutes * MINUTE_MS < WEEK_MS)
    add(
      'offsets-retention',
      `The cluster forgets the positions of a group that did not run for ${hours(minutes * MINUTE_MS)} (offsets.retention.minutes): it starts anew then`,
    )
}

const hours = (ms: number): string =>
  ms < 2 * 3_600_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 3_600_000)} h`
