// How a member gets into the next generation of its group.
import type { Assignment, JoinOptions, TopicPartition } from '../client.ts'
import { answered, missing } from '../errors.ts'
import {
  assign,
  type Claim,
  decodeAssignment,
  decodeClaim,
  encodeAssignment,
  encodeSubscription,
  PROTOCOL,
} from './assignor.ts'
import type { Broker } from './wire.ts'
import type { Link } from './link.ts'

const UNKNOWN_TOPIC = 3

/** How many partitions each topic has. @throws {PolybusError} `TOPOLOGY_MISSING` */
export async function readCounts(link: Link, topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>()
  for (const { topic, topicErrorCode, partitionMetadata } of await link.metadata(topics)) {
    const error = topicErrorCode === UNKNOWN_TOPIC ? undefined : answered(topicErrorCode, `to describe '${topic}'`)
    if (error) throw error
    if (topicErrorCode === 0) found.set(topic, partitionMetadata.length)
  }
  for (const topic of topics) if (!found.has(topic)) throw missing(`topic '${topic}'`, true)
  return found
}

export interface Entered {
  readonly assignment: Assignment
  /** What it asks for next time. */
  readonly claim: Claim
  readonly counts: ReadonlyMap<string, number>
}

/**
 * Joins, assigns the partitions of all where it is the one to do that, and learns its own.
 *
 * @param memberId Empty for a new one.
 * @param onId The id that the group knows it by, as soon as it is known.
 */
export async function enter(
  link: Link,
  { group, topics, sessionTimeoutMs, rebalanceTimeoutMs }: JoinOptions,
  memberId: string,
  claim: Claim | undefined,
  timeoutMs: number,
  onId: (memberId: string) => void,
): Promise<Entered> {
  const coordinator = { kind: 'group', id: group } as const
  let counts = await readCounts(link, topics)
  const groupProtocols = [{ name: PROTOCOL, metadata: encodeSubscription(topics, claim) }]
  const joined = await link.ask(
    coordinator,
    (broker) =>
      broker.joinGroup({
        groupId: group,
        memberId,
        groupProtocols,
        sessionTimeout: sessionTimeoutMs,
        rebalanceTimeout: rebalanceTimeoutMs,
      }),
    rebalanceTimeoutMs + sessionTimeoutMs + timeoutMs,
  )
  const { generationId: generation, memberId: id, leaderId, members } = joined
  onId(id)
  const leads = leaderId === id
  if (leads) counts = await readCounts(link, topics)
  const groupAssignment = leads ? assignAll(members, topics, counts) : []
  const synced = await link.ask(coordinator, (broker) =>
    broker.syncGroup({ groupId: group, generationId: generation, memberId: id, groupAssignment }),
  )
  const partitions = Object.entries(decodeAssignment(synced.memberAssignment)).flatMap(([topic, numbers]) =>
    topics.includes(topic) ? numbers.map((partition): TopicPartition => ({ topic, partition })) : [],
  )
  return {
    assignment: { memberId: id, generation, partitions },
    claim: { generation, partitions: [...new Set(partitions.map(({ partition }) => partition))] },
    counts,
  }
}

function assignAll(
  members: Awaited<ReturnType<Broker['joinGroup']>>['members'],
  topics: readonly string[],
  counts: ReadonlyMap<string, number>,
): { readonly memberId: string; readonly memberAssignment: Buffer }[] {
  const main = counts.get(topics[0] ?? '') ?? 0
  const claims = members.map(({ memberId, memberMetadata }) => ({ id: memberId, claim: decodeClaim(memberMetadata) }))
  return [...assign(claims, main, Math.max(main, ...counts.values()))].map(([memberId, numbers]) => {
    const ofTopic = (topic: string): [string, number[]] => [
      topic,
      numbers.filter((partition) => partition < (counts.get(topic) ?? 0)),
    ]
    return { memberId, memberAssignment: encodeAssignment(Object.fromEntries(topics.map(ofTopic))) }
  })
}
