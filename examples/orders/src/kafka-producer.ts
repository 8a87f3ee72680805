// Writes one record, as some system that does not use Polybus. KAFKA_URL, KAFKA_TOPIC and KAFKA_VALUE say where and what.
import { Kafka, logLevel, type SASLOptions } from 'kafkajs'

const { KAFKA_URL = '', KAFKA_TOPIC = '', KAFKA_VALUE = '' } = process.env
const [, user, password = '', hosts = ''] = /^kafka:(?:\/\/)?(?:([^:@/]*):([^@/]*)@)?([^/?]*)/i.exec(KAFKA_URL) ?? []
const query = new URLSearchParams(KAFKA_URL.split('?')[1])
const mechanism = query.get('sasl') ?? 'plain'
const producer = new Kafka({
  brokers: hosts.split(',').map((host) => (host.includes(':') ? host : `${host}:9092`)),
  logLevel: logLevel.ERROR,
  retry: { retries: 0 },
  ssl: query.get('ssl') === 'true',
  ...(user !== undefined && {
    sasl: { mechanism, username: decodeURIComponent(user), password: decodeURIComponent(password) } as SASLOptions,
  }),
}).producer()
try {
  await producer.connect()
  await producer.send({ topic: KAFKA_TOPIC, messages: [{ value: KAFKA_VALUE }] })
} finally {
  await producer.disconnect()
}
