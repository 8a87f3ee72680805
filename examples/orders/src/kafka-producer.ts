// Writes one record, as some system that does not use Polybus. KAFKA_URL, KAFKA_TOPIC and KAFKA_VALUE say where and what.
import { Kafka, logLevel } from 'kafkajs'

const { KAFKA_URL = '', KAFKA_TOPIC = '', KAFKA_VALUE = '' } = process.env
const [, user, password = '', hosts = ''] = /^kafka:(?:\/\/)?(?:([^:@/]*):([^@/]*)@)?([^/?]*)/i.exec(KAFKA_URL) ?? []
const producer = new Kafka({
  brokers: hosts.split(','),
  logLevel: logLevel.ERROR,
  retry: { retries: 0 },
  ssl: KAFKA_URL.includes('ssl=true'),
  ...(user !== undefined && {
    sasl: { mechanism: 'plain', username: decodeURIComponent(user), password: decodeURIComponent(password) },
  }),
}).producer()
try {
  await producer.connect()
  await producer.send({ topic: KAFKA_TOPIC, messages: [{ value: KAFKA_VALUE }] })
} finally {
  await producer.disconnect()
}
