import { connect, consumer, channel, duration, type Adapter } from 'polybus'
import { memory } from '@polybus/memory'
import { z } from 'zod'
const legacy = channel('legacy-orders', { schema: z.object({ ORDER_NO: z.string() }), key: (o) => o.ORDER_NO })
const adapters: Record<string, () => string | Adapter> = {
  test: () => memory(),
  named: () => memory({ name: 'shop', retention: 1000 }),
  production: () => 'kafka://localhost',
}
const bus = await connect({
  broker: adapters[process.env['NODE_ENV'] ?? 'test']?.(),
  topology: 'verify',
  grace: duration(process.env['GRACE'] ?? '20s'),
})
const c = consumer(legacy, 'email', async (o) => {
  console.log(o.ORDER_NO)
})
await bus.start(c)

// Waits for @polybus/kafka, @polybus/rabbitmq, @polybus/sqs (with lambda()) and @polybus/redis. Then this file is:
/*
import { connect, consumer, channel, duration, type Adapter } from 'polybus'
import { kafka, kafkaRecord } from '@polybus/kafka'
import { redis } from '@polybus/redis'
import { rabbitmq } from '@polybus/rabbitmq'
import { sqs, lambda } from '@polybus/sqs'
import { memory } from '@polybus/memory'
import type { SQSHandler } from 'aws-lambda'
import { z } from 'zod'
const legacy = channel('legacy-orders', { schema: z.object({ ORDER_NO: z.string() }), key: (o) => o.ORDER_NO })
const prod = kafka({
  url: process.env['KAFKA_URL'] ?? 'kafka://localhost',
  client: { ssl: true, sasl: { mechanism: 'scram-sha-512', username: 'u', password: 'p' } },
  channels: {
    'legacy-orders': {
      topic: 'erp.orders.v2', partitions: 24, config: { 'retention.ms': '604800000' },
      envelope: { id: (m) => text(m.headers['x-msg-id']), key: (m) => text(m.key) },
      groups: { email: { groupId: 'email-service', deadLetter: 'erp.orders.v2.email.DLT' } },
    },
  },
})
const text = (b: Uint8Array | null | undefined): string | undefined => b ? new TextDecoder().decode(b) : undefined
const adapters: Record<string, () => string | Adapter> = {
  test: () => memory(),
  ci: () => redis({ url: 'redis://localhost', channels: { 'legacy-orders': { stream: 'erp:orders', envelope: 'fields' } } }),
  stage: () => rabbitmq({ channels: { 'legacy-orders': { exchange: { name: 'erp', type: 'topic' }, routingKey: 'orders.#', envelope: 'none', groups: { email: { queue: 'erp-email', arguments: { 'x-queue-type': 'classic' } } } } } }),
  aws: () => sqs({ channels: { 'legacy-orders': { envelope: 'sns', groups: { email: { queueUrl: 'https://sqs…' } } } } }),
  production: () => prod,
}
const bus = await connect({ broker: adapters[process.env.NODE_ENV ?? 'test']?.(), topology: 'verify', grace: duration(process.env['GRACE'] ?? '20s') })
const c = consumer(legacy, 'email', async (o, { message }) => { console.log(o.ORDER_NO, kafkaRecord(message)?.offset) })
await bus.start(c)
await prod.client.admin().fetchTopicMetadata({ topics: [] })
export const handler: SQSHandler = lambda(c)
*/
