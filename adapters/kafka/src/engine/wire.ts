// What a library gives beneath the client: connections to the brokers of a cluster, and single requests over them. Types only.
// All else is done above it, the same for each library: no request is tried again here, none knows a deadline.
//
// A rejection is the library's own error, or one of ours; `kafkaError` has to be able to read it.
import type { Fetched } from './fetched.ts'

export interface Wire {
  /** One connection is made to this host, and to others as they are asked for. Never throws; connects with `connect`. */
  open(broker: string): Cluster
  /** `host:port`, of which one after the other is tried. */
  brokers(): Promise<readonly string[]>
  /** Whether a login was given. */
  readonly hasLogin: boolean
  /** The library's own object, for what Polybus does not do; undefined where it has none that stands for a cluster. */
  readonly native: unknown
}

export interface Cluster {
  /** How long after a request's limit the library may still end it by itself, with a better error. */
  readonly graceMs: number
  connect(): Promise<void>
  /** What the last `metadata` brought. */
  readonly known: RawMetadata | undefined
  /** Never creates a topic. */
  metadata(topics: readonly string[]): Promise<RawMetadata>
  /** Connected. A number is one of `known`. */
  broker(node: number | 'any'): Promise<Broker>
  /** Ends connections when what is under way was answered. */
  close(): Promise<void>
  /** Ends every connection at once, and those that are opened later too; what waits for an answer is rejected. */
  disconnect(error: Error): void
}

export interface RawRequest<T> {
  readonly apiKey: number
  readonly apiVersion: number
  /** Behind the client's id in the header: with the header's tagged fields, where this version has them. */
  readonly body: Buffer
  /** Of the answer, behind its correlation id. */
  decode(payload: Buffer): { readonly throttleMs: number; readonly value: T }
}

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
  /** By number of request; undefined: it does not know it. */
  supports(apiKey: number): { readonly minVersion: number; readonly maxVersion: number } | undefined
  /** A request that is written and read by ourselves. */
  send<T>(request: RawRequest<T>): Promise<T>
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
