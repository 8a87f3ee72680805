// What is used of kafkajs beneath its producer and consumer: its cluster, its requests and its connections. Types only.
import type { Socket } from 'node:net'
import type { Fetched } from './fetched.ts'

export interface RawMetadata {
  readonly brokers: readonly { readonly nodeId: number }[]
  readonly controllerId: number
  readonly topicMetadata: readonly RawTopic[]
}
export interface RawTopic {
  readonly topicErrorCode: number
  readonly topic: string
  readonly partitionMetadata: readonly {
    readonly partitionErrorCode: number
    readonly partitionId: number
    readonly leader: number
    readonly replicas: readonly number[]
  }[]
}
interface InTransaction {
  readonly transactionalId: string
  readonly producerId: string
  readonly producerEpoch: number
}
interface OfMember {
  readonly groupId: string
  readonly memberId: string
}
export interface RawOffset {
  readonly partition: number
  readonly offset: string
  readonly metadata: string | null
}
type Many<T> = readonly { readonly topic: string; readonly partitions: readonly T[] }[]

export interface Broker {
  readonly nodeId: number | null
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>> | null
  readonly connectionPool: { send(protocol: Protocol): Promise<unknown> }
  isConnected(): boolean
  fetch(request: {
    readonly isolationLevel: number
    readonly maxWaitTime: number
    readonly minBytes: number
    readonly maxBytes: number
    readonly topics: Many<{ partition: number; fetchOffset: string; maxBytes: number }>
  }): Promise<Fetched>
  findGroupCoordinator(request: { groupId: string; coordinatorType: number }): Promise<{
    readonly coordinator: { readonly nodeId: number }
  }>
  joinGroup(
    request: OfMember & {
      readonly sessionTimeout: number
      readonly rebalanceTimeout: number
      readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[]
    },
  ): Promise<{
    readonly generationId: number
    readonly leaderId: string
    readonly memberId: string
    readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[]
  }>
  syncGroup(
    request: OfMember & {
      readonly generationId: number
      readonly groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[]
    },
  ): Promise<{ readonly memberAssignment: Buffer }>
  heartbeat(request: OfMember & { readonly groupGenerationId: number }): Promise<unknown>
  leaveGroup(request: OfMember): Promise<unknown>
  offsetCommit(
    request: OfMember & { readonly groupGenerationId: number; readonly topics: Many<RawOffset> },
  ): Promise<unknown>
  offsetFetch(request: {
    readonly groupId: string
    readonly topics: Many<{ readonly partition: number }>
  }): Promise<{ readonly responses: Many<RawOffset> }>
  listOffsets(request: {
    readonly isolationLevel: number
    readonly topics: Many<{ readonly partition: number; readonly timestamp: string }>
  }): Promise<{ readonly responses: Many<{ readonly partition: number; readonly offset: string }> }>
  createTopics(request: {
    readonly topics: readonly {
      readonly topic: string
      readonly numPartitions: number
      readonly replicationFactor: number
      readonly configEntries: readonly { readonly name: string; readonly value: string }[]
    }[]
    readonly timeout: number
  }): Promise<unknown>
  describeConfigs(request: {
    readonly resources: readonly { readonly type: number; readonly name: string }[]
  }): Promise<{
    readonly resources: readonly {
      readonly configEntries: readonly {
        readonly configName: string
        readonly configValue: string | null
      }[]
    }[]
  }>
  deleteRecords(request: {
    readonly topics: Many<{ readonly partition: number; readonly offset: string }>
  }): Promise<unknown>
  describeGroups(request: { readonly groupIds: readonly string[] }): Promise<{
    readonly groups: readonly { readonly members: readonly unknown[] }[]
  }>
  initProducerId(request: { readonly transactionalId?: string; readonly transactionTimeout: number }): Promise<{
    readonly producerId: string
    readonly producerEpoch: number
  }>
  addPartitionsToTxn(
    request: InTransaction & {
      readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[]
    },
  ): Promise<unknown>
  addOffsetsToTxn(request: InTransaction & { readonly groupId: string }): Promise<unknown>
  txnOffsetCommit(
    request: InTransaction & { readonly groupId: string; readonly topics: Many<RawOffset> },
  ): Promise<unknown>
  endTxn(request: InTransaction & { readonly transactionResult: boolean }): Promise<unknown>
}

/** A request, and how its answer is read. */
export interface Protocol {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>
  }
  readonly response: {
    decode(payload: Buffer): Promise<{ readonly clientSideThrottleTime?: number }>
    parse(data: unknown): Promise<unknown>
  }
}

export interface Connection {
  socket?: Socket
  isConnected(): boolean
  connect(): Promise<unknown>
  send(protocol: Protocol): Promise<unknown>
  readonly requestQueue: { readonly pending: readonly unknown[]; scheduleCheckPendingRequests(): void }
}

export interface Cluster {
  readonly connectionPoolBuilder: { build(to?: unknown): Promise<{ readonly pool: readonly Connection[] }> }
  readonly brokerPool: {
    readonly metadata: RawMetadata | null
    connect(): Promise<void>
    disconnect(): Promise<void>
    refreshMetadata(topics: readonly string[]): Promise<void>
    findBroker(node: { readonly nodeId: number }): Promise<Broker>
    findConnectedBroker(): Promise<Broker>
  }
}
