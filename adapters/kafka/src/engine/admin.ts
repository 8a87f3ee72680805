// Everything that is asked of a cluster but not written to it or read from it. Here is tried again what Kafka
// calls retriable: after a creation that is NOT_LEADER and UNKNOWN_TOPIC for a moment.
import { type Call, type Clock, PolybusError, sleep } from '@polybus/core'
import type { Admin, ConfigEntry, Position, Range, TopicInfo } from '../client.ts'
import { answered, kafkaError, kafkaName, missing } from '../errors.ts'
import type { RawTopic } from './wire.ts'
import type { Coordinated, Link } from './link.ts'
import { readTopicIds } from './topic-ids.ts'
import { persist, within } from '../wait.ts'

/**
 * For a new topic's leaders, however short a command may take. A broker makes the partitions that were created one after
 * the other, each with the disk: more than 6 s were seen.
 */
const LEADERS_MS = 30_000
const TOPIC = 2
const BROKER = 4
/** What `commitFor` gives instead of a member's: the broker takes it from nobody who is in a group. */
const NOBODY = { memberId: '', groupGenerationId: -1 }
const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1
const BEGINNING = '-2'
const END = '-1'

export function createAdmin(link: Link, clock: Clock, timeoutMs: number): Admin {
  const tell = <T>(call: Call, work: () => Promise<T>): Promise<T> =>
    within(clock, timeoutMs * 3, call.signal, persist({ clock, limitMs: timeoutMs, call, onStale: link.forget }, work))
  const coordinator = (id: string): Coordinated => ({ kind: 'group', id })
  const metadata = async (names: readonly string[], call: Call): Promise<readonly RawTopic[]> => {
    const found = await link.metadata(names, call)
    // A topic whose leader is being chosen is there.
    for (const { topicErrorCode, topic } of found)
      if (topicErrorCode !== 0 && topicErrorCode !== 3 && topicErrorCode !== 5) {
        const error = answered(topicErrorCode, `to describe '${topic}'`)
        if (error) throw error
      }
    return found
  }
  const topics: Admin['topics'] = async (names, call) => {
    const found = new Map<string, TopicInfo>()
    if (names.length === 0) return found
    for (const each of await tell(call, () => metadata(names, call)))
      if (each.topicErrorCode !== 3) found.set(each.topic, infoOf(each))
    return found
  }
  const partitionsOf = async (topic: string, call: Call): Promise<readonly number[]> => {
    const found = (await topics([topic], call)).get(topic)
    if (!found) throw missing(`topic '${topic}'`, false)
    return found.partitions.map(({ partition }) => partition)
  }
  /** Until every partition has a leader, everywhere: what follows at once would be refused. */
  const settled = async (wanted: readonly string[], call: Call): Promise<void> => {
    const end = clock.now() + Math.max(LEADERS_MS, timeoutMs * 3)
    for (;;) {
      const found = await topics(wanted, call)
      const ready = wanted.every((name) => {
        const { partitions = [] } = found.get(name) ?? {}
        return partitions.length > 0 && partitions.every(({ leader }) => leader !== null)
      })
      if (ready) return
      if (clock.now() > end || call.signal.aborted)
        throw new PolybusError('BROKER_BUSY', `Kafka has no leaders yet for ${wanted.join(', ')}.`)
      await sleep(clock, 50, call.signal)
    }
  }
  const listOffsets = (
    topic: string,
    partitions: readonly number[],
    time: string,
    call: Call,
    isolationLevel = READ_COMMITTED,
  ): Promise<Map<number, bigint>> =>
    tell(call, async () => {
      const byNode = new Map<number, number[]>()
      for (const partition of partitions) {
        const node = await link.leader(topic, partition, call)
        byNode.set(node, [...(byNode.get(node) ?? []), partition])
      }
      const found = new Map<number, bigint>()
      await Promise.all(
        [...byNode].map(async ([node, some]) => {
          const wanted = some.map((partition) => ({ partition, timestamp: time }))
          const { responses } = await link.ask(node, (broker) =>
            broker.listOffsets({ isolationLevel, topics: [{ topic, partitions: wanted }] }),
          )
          for (const each of responses)
            for (const { partition, offset } of each.partitions) found.set(partition, BigInt(offset))
        }),
      )
      return found
    })
  const configOf = (type: number, name: string, call: Call): Promise<readonly ConfigEntry[]> =>
    tell(call, async () => {
      const ask = type === BROKER ? Number(name) : 'any'
      const { resources } = await link.ask(ask, (broker) => broker.describeConfigs({ resources: [{ type, name }] }))
      return (resources[0]?.configEntries ?? []).map(({ configName, configValue }) => ({
        name: configName,
        value: configValue,
      }))
    })
  return {
    brokers: (call) => tell(call, () => link.brokers(call)),
    topics,
    async createTopics(list, call) {
      if (list.length === 0) return
      const wanted = list.map(({ topic, partitions, replicationFactor = -1, config }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor,
        configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
      }))
      await tell(call, () =>
        link
          .ask('controller', (broker) => broker.createTopics({ topics: wanted, timeout: timeoutMs }), timeoutMs * 2)
          .catch(unlessThere),
      )
      link.forget()
      await settled(
        list.map(({ topic }) => topic),
        call,
      )
    },
    topicIds: (names, call) => tell(call, () => link.ask('any', (broker) => readTopicIds(broker, names))),
    topicConfig: (topic, call) => configOf(TOPIC, topic, call),
    brokerConfig: (node, call) => configOf(BROKER, String(node), call),
    async offsets(topic, call, open) {
      const partitions = await partitionsOf(topic, call)
      const [begins, ends] = await Promise.all([
        listOffsets(topic, partitions, BEGINNING, call),
        listOffsets(topic, partitions, END, call, open ? READ_UNCOMMITTED : READ_COMMITTED),
      ])
      return partitions.map((partition): Range => ({
        partition,
        begin: begins.get(partition) ?? 0n,
        end: ends.get(partition) ?? 0n,
      }))
    },
    async offsetsAt(topic, time, call) {
      const partitions = await partitionsOf(topic, call)
      const found = await listOffsets(topic, partitions, String(time), call)
      // -1: everything is older.
      const late = partitions.filter((partition) => (found.get(partition) ?? -1n) < 0n)
      const ends = late.length === 0 ? found : await listOffsets(topic, late, END, call)
      return partitions.map((partition): Position => {
        const at = found.get(partition) ?? -1n
        return { topic, partition, offset: at < 0n ? (ends.get(partition) ?? 0n) : at }
      })
    },
    committed: async (group, names, call) =>
      committedOf(link, group, [...(await topics(names, call)).values()], (work) => tell(call, work)),
    async commitFor(group, positions, call) {
      if (positions.length === 0) return
      await tell(call, () =>
        link.ask(coordinator(group), (broker) =>
          broker.offsetCommit({ groupId: group, ...NOBODY, topics: byTopic(positions) }),
        ),
      ).catch((error: unknown) => {
        // How a group with members answers who is none of them.
        if (kafkaName(error) !== 'UNKNOWN_MEMBER_ID' && kafkaName(error) !== 'ILLEGAL_GENERATION') throw error
        throw new PolybusError('BROKER_REFUSED', `The group '${group}' has members. Stop them first.`, { cause: error })
      })
    },
    async deleteRecords(positions, call) {
      for (const { topic, partition, offset } of positions)
        await tell(call, async () => {
          const node = await link.leader(topic, partition, call)
          await link
            .ask(node, (broker) =>
              broker.deleteRecords({ topics: [{ topic, partitions: [{ partition, offset: String(offset) }] }] }),
            )
            .catch((error: unknown) => {
              const raw = rawOf(error) as { partitions?: readonly { error?: unknown }[] }
              throw kafkaError(raw.partitions?.find((each) => each.error)?.error ?? error)
            })
        })
    },
    members: (group, call) =>
      tell(call, async () => {
        const { groups } = await link.ask(coordinator(group), (broker) => broker.describeGroups({ groupIds: [group] }))
        return groups[0]?.members.length ?? 0
      }),
  }
}

/** Of several topics those that were there already are no error. */
function unlessThere(error: unknown): void {
  const raw = rawOf(error) as { readonly errors?: unknown }
  const each = (Array.isArray(raw.errors) ? raw.errors : [raw]).map((one) => kafkaError(one, 'no'))
  const bad = each.find((one) => kafkaName(one) !== 'TOPIC_ALREADY_EXISTS')
  if (bad) throw bad
}

/** What the library said, beneath the error that the link made of it. */
const rawOf = (error: unknown): unknown => (PolybusError.is(error) && error.cause !== undefined ? error.cause : error)

function infoOf({ topic, partitionMetadata }: RawTopic): TopicInfo {
  const partitions = partitionMetadata
    .map(({ partitionId, leader, replicas }) => ({
      partition: partitionId,
      leader: leader < 0 ? null : leader,
      replicas,
    }))
    .sort((a, b) => a.partition - b.partition)
  return { topic, partitions }
}

export function byTopic(
  positions: readonly Position[],
): { topic: string; partitions: { partition: number; offset: string; metadata: string | null }[] }[] {
  const topics = new Map<string, { partition: number; offset: string; metadata: string | null }[]>()
  for (const { topic, partition, offset, metadata } of positions) {
    const partitions = topics.get(topic) ?? []
    topics.set(topic, partitions)
    // kafkajs writes no text without one, and the broker wants one.
    partitions.push({ partition, offset: String(offset), metadata: metadata ?? '' })
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}

/** Committed positions of a group, of those partitions that have one. */
export async function committedOf(
  link: Link,
  group: string,
  topics: readonly TopicInfo[],
  tell: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<readonly Position[]> {
  const wanted = topics
    .filter(({ partitions }) => partitions.length > 0)
    .map(({ topic, partitions }) => ({ topic, partitions: partitions.map(({ partition }) => ({ partition })) }))
  if (wanted.length === 0) return []
  return tell(async () => {
    const { responses } = await link.ask({ kind: 'group', id: group }, (broker) =>
      broker.offsetFetch({ groupId: group, topics: wanted }),
    )
    return responses.flatMap(({ topic, partitions }) =>
      partitions
        .filter(({ offset }) => !offset.startsWith('-'))
        .map(({ partition, offset, metadata }): Position => ({
          topic,
          partition,
          offset: BigInt(offset),
          ...(metadata !== null && metadata !== '' && { metadata }),
        })),
    )
  })
}
