// A foreign producer on Kafka is a program of its own.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { BrokerAccess } from './broker-access.ts'
import { persist } from './persist.ts'

const PROGRAM = fileURLToPath(new URL('./kafka-producer.js', import.meta.url))
// kafkajs arms timers in the past, of which Node 24 warns.
const FLAGS = ['--disable-warning=TimeoutNegativeWarning']

/** A record without key and headers, to the channel's topic. */
export function accessKafka(url: string): BrokerAccess {
  return {
    broker: url,
    produce: (channel, body) =>
      persist(() =>
        promisify(execFile)(process.execPath, [...FLAGS, PROGRAM], {
          // A URL may hold a password, and everybody sees arguments.
          env: { ...process.env, KAFKA_URL: url, KAFKA_TOPIC: channel, KAFKA_VALUE: body },
          timeout: 20_000,
        }),
      ),
    close: () => Promise.resolve(),
  }
}
