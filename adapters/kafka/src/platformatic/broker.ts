// The requests of the client over one connection, each in a version that Kafka 2.4 has and Kafka 4 still has.
import { decodeFetch } from '../engine/fetched.ts'
import type { Broker, RawMetadata, RawOffset } from '../engine/wire.ts'
import type { Wired } from './connection.ts'
import type { Answered } from './errors.ts'
import type { Library } from './library.ts'

export interface WiredBroker extends Broker {
  readonly connection: Wired
  /** With where each broker says that it is. */
  metadata(topics: readonly string[]): Promise<Metadata>
}
export interface Metadata extends RawMetadata {
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[]
}

const FETCH = 1
const FETCH_VERSION = 11
/** Without a session: every fetch names all that it wants. */
const NO_SESSION = [0, -1] as const
const ANY_REPLICA = -1
const NO_EPOCH = -1
/** How long the broker may take to delete records. */
const RECORDS_MS = 5000
type Answer = ReturnType<Library['metadataV8']['parseResponse']>

/** What the versions of the broker are is asked at once: that shows too that it speaks Kafka. */
export async function createBroker(library: Library, connection: Wired): Promise<WiredBroker> {
  const { ask } = connection
  const { apiKeys } = await ask(library.apiVersionsV2.api, '', '')
  const versions = new Map(apiKeys.map((each) => [each.apiKey, each]))
  return {
    connection,
    supports: (apiKey) => versions.get(apiKey),
    send: connection.send,
    async metadata(topics) {
      // With an error of one topic it rejects, and holds what all others have.
      const { brokers, controllerId, topics: found } = await ask(library.metadataV8.api, [...topics], false).catch(answerOf) // prettier-ignore
      const topicMetadata = found.map(({ name, errorCode, partitions }) => ({
        topic: name,
        topicErrorCode: errorCode,
        partitionMetadata: partitions.map((each) => ({
          partitionErrorCode: each.errorCode,
          partitionId: each.partitionIndex,
          leader: each.leaderId,
          replicas: each.replicaNodes,
        })),
      }))
      return { brokers, controllerId, topicMetadata }
    },
    async fetch({ isolationLevel, maxWaitTime, minBytes, maxBytes, topics }) {
      const wanted = topics.map(({ topic, partitions }) => ({
        topicId: topic,
        partitions: partitions.map((each) => ({
          partition: each.partition,
          currentLeaderEpoch: NO_EPOCH,
          fetchOffset: BigInt(each.fetchOffset),
          lastFetchedEpoch: NO_EPOCH,
          partitionMaxBytes: each.maxBytes,
        })),
      }))
      const { createRequest } = library.fetchV11
      const body = createRequest(maxWaitTime, minBytes, maxBytes, isolationLevel, ...NO_SESSION, wanted, [], '')
      return decodeFetch(await connection.askRaw(FETCH, FETCH_VERSION, body), FETCH_VERSION)
    },
    async findGroupCoordinator({ groupId, coordinatorType }) {
      const { coordinators } = await ask(library.findCoordinatorV2.api, coordinatorType, [groupId])
      return { coordinator: { nodeId: coordinators[0]?.nodeId ?? -1 } }
    },
    async joinGroup({ groupId, memberId, sessionTimeout, rebalanceTimeout, groupProtocols }) {
      const enter = (id: string) =>
        ask(library.joinGroupV5.api, groupId, sessionTimeout, rebalanceTimeout, id, null, 'consumer', [
          ...groupProtocols,
        ])
      // Who is new is told its id, and joins by it.
      const joined = await enter(memberId).catch((error: unknown) => {
        const { type, response } = error as Answered
        if (type !== 'MEMBER_ID_REQUIRED') throw error
        return enter((response as { readonly memberId: string }).memberId)
      })
      const members = joined.members.map((each) => ({ memberId: each.memberId, memberMetadata: each.metadata }))
      return { generationId: joined.generationId, leaderId: joined.leader, memberId: joined.memberId, members }
    },
    async syncGroup({ groupId, memberId, generationId, groupAssignment }) {
      const assignments = groupAssignment.map((each) => ({
        memberId: each.memberId,
        assignment: each.memberAssignment,
      }))
      const { assignment } = await ask(library.syncGroupV3.api, groupId, generationId, memberId, null, null, null, assignments) // prettier-ignore
      return { memberAssignment: assignment }
    },
    heartbeat: ({ groupId, memberId, groupGenerationId }) =>
      ask(library.heartbeatV3.api, groupId, groupGenerationId, memberId, null),
    leaveGroup: ({ groupId, memberId }) => ask(library.leaveGroupV2.api, groupId, [{ memberId }]),
    offsetCommit: ({ groupId, memberId, groupGenerationId, topics }) =>
      ask(library.offsetCommitV7.api, groupId, groupGenerationId, memberId, null, topics.map(positionsOf)),
    async offsetFetch({ groupId, topics }) {
      const wanted = topics.map(({ topic, partitions }) => ({
        name: topic,
        partitionIndexes: partitions.map(({ partition }) => partition),
      }))
      const found = await ask(library.offsetFetchV5.api, [{ groupId, topics: wanted }], false)
      const responses = found.topics.map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map((each) => ({
          partition: each.partitionIndex,
          offset: String(each.committedOffset),
          metadata: each.metadata ?? null,
        })),
      }))
      return { responses }
    },
    async listOffsets({ isolationLevel, topics }) {
      const wanted = topics.map(({ topic, partitions }) => ({
        name: topic,
        partitions: partitions.map(({ partition, timestamp }) => ({
          partitionIndex: partition,
          currentLeaderEpoch: NO_EPOCH,
          timestamp: BigInt(timestamp),
        })),
      }))
      const found = await ask(library.listOffsetsV5.api, ANY_REPLICA, isolationLevel, wanted)
      const responses = found.topics.map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map((each) => ({ partition: each.partitionIndex, offset: String(each.offset) })),
      }))
      return { responses }
    },
    createTopics({ topics, timeout }) {
      const wanted = topics.map(({ topic, numPartitions, replicationFactor, configEntries }) => ({
        name: topic,
        numPartitions,
        replicationFactor,
        assignments: [],
        configs: [...configEntries],
      }))
      return ask(library.createTopicsV4.api, wanted, timeout, false)
    },
    async describeConfigs({ resources }) {
      const wanted = resources.map(({ type, name }) => ({
        resourceType: type as 2 | 4,
        resourceName: name,
        configurationKeys: null,
      }))
      const { results } = await ask(library.describeConfigsV2.api, wanted, false)
      const found = results.map(({ configs }) => ({
        configEntries: configs.map(({ name, value }) => ({ configName: name, configValue: value ?? null })),
      }))
      return { resources: found }
    },
    deleteRecords({ topics }) {
      const wanted = topics.map(({ topic, partitions }) => ({
        name: topic,
        partitions: partitions.map(({ partition, offset }) => ({ partitionIndex: partition, offset: BigInt(offset) })),
      }))
      return ask(library.deleteRecordsV1.api, wanted, RECORDS_MS)
    },
    describeGroups: ({ groupIds }) => ask(library.describeGroupsV4.api, [...groupIds], false),
    async initProducerId({ transactionalId, transactionTimeout }) {
      const { api } = library.initProducerIdV1
      const { producerId, producerEpoch } = await ask(api, transactionalId ?? null, transactionTimeout)
      return { producerId: String(producerId), producerEpoch }
    },
    addPartitionsToTxn({ transactionalId, producerId, producerEpoch, topics }) {
      const wanted = topics.map(({ topic, partitions }) => ({ name: topic, partitions: [...partitions] }))
      const transaction = { transactionalId, producerId: BigInt(producerId), producerEpoch, verifyOnly: false }
      return ask(library.addPartitionsToTxnV1.api, [{ ...transaction, topics: wanted }])
    },
    addOffsetsToTxn: ({ transactionalId, producerId, producerEpoch, groupId }) =>
      ask(library.addOffsetsToTxnV1.api, transactionalId, BigInt(producerId), producerEpoch, groupId),
    txnOffsetCommit: ({ transactionalId, producerId, producerEpoch, groupId, topics }) =>
      ask(library.txnOffsetCommitV2.api, transactionalId, groupId, BigInt(producerId), producerEpoch, -1, '', null, topics.map(positionsOf)), // prettier-ignore
    endTxn: ({ transactionalId, producerId, producerEpoch, transactionResult }) =>
      ask(library.endTxnV1.api, transactionalId, BigInt(producerId), producerEpoch, transactionResult),
  }
}

/** The whole answer, of which a part is an error. */
function answerOf(error: Answered): Answer {
  if (error.response === undefined) throw error
  return error.response as Answer
}

function positionsOf({ topic, partitions }: { readonly topic: string; readonly partitions: readonly RawOffset[] }) {
  return {
    name: topic,
    partitions: partitions.map(({ partition, offset, metadata }) => ({
      partitionIndex: partition,
      committedOffset: BigInt(offset),
      committedLeaderEpoch: NO_EPOCH,
      committedMetadata: metadata,
    })),
  }
}
