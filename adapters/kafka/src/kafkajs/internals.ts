// What is used of kafkajs beneath its producer and consumer: its cluster, its requests and its connections. Types only.
import type { Socket } from 'node:net'
import type { Broker, RawMetadata } from '../engine/wire.ts'

export interface KafkajsBroker extends Omit<Broker, 'supports' | 'send'> {
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>> | null
  readonly connectionPool: { send(protocol: Protocol): Promise<unknown> }
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

export interface KafkajsCluster {
  readonly connectionPoolBuilder: { build(to?: unknown): Promise<{ readonly pool: readonly Connection[] }> }
  readonly brokerPool: {
    readonly metadata: RawMetadata | null
    connect(): Promise<void>
    disconnect(): Promise<void>
    refreshMetadata(topics: readonly string[]): Promise<void>
    findBroker(node: { readonly nodeId: number }): Promise<KafkajsBroker>
    findConnectedBroker(): Promise<KafkajsBroker>
  }
}
