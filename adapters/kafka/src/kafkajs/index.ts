// kafkajs 2.2.4 beneath the client: its connections and its requests. What it does above those is not used
// (docs/brokers/kafka.md says why).
import kafkajs, { type Kafka, type KafkaConfig } from 'kafkajs'
import type { Wire } from '../engine/wire.ts'
import type { KafkajsSettings } from '../options.ts'
import { openCluster } from './cluster.ts'

export function kafkajsWire(client: KafkajsSettings, clientId: string, timeoutMs: number): Wire {
  const config: KafkaConfig = {
    connectionTimeout: timeoutMs,
    authenticationTimeout: timeoutMs,
    clientId,
    ...client,
    requestTimeout: client.requestTimeout ?? timeoutMs,
    enforceRequestTimeout: true,
    // Its retries know neither a deadline nor an abort.
    retry: { retries: 0, initialRetryTime: 10, maxRetryTime: 10 },
    logCreator: () => () => {},
  }
  let native: Kafka | undefined
  return {
    open: (broker) => openCluster({ ...config, brokers: [broker] }),
    brokers: async () => (typeof client.brokers === 'function' ? await client.brokers() : client.brokers),
    hasLogin: client.sasl !== undefined,
    get native() {
      native ??= new kafkajs.Kafka({ clientId, ...client })
      return native
    },
  }
}
