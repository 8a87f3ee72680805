// kafkajs by hand.
import kafkajs, { type Consumer, type EachBatchPayload, type Kafka } from 'kafkajs'
import type { Make } from '../purchases.ts'
import { type AttributesOf, type Consuming, GROUP, type Handle, inFlight, type Kind, NAIVE_WIDTH } from './raw.ts'
import { piecesInFlight, type Publishing, type RawBroker, textsOf, versionIn, versionOf } from './raw.ts'

/** Of a tuned producer; larger ones gain nothing. */
const BATCH = 500
/** An idempotent producer of kafkajs may have one send under way: overlapping ones lose confirmed messages. So there are several. */
const PRODUCERS = 2
/** As the adapter commits. */
const COMMIT_MS = 500

export const kafka: Kind = {
  messages: 100_000,
  naive: { publish: 0.1, consume: 0.5 },
  what: {
    publishNaive: `producer.send of one message, ${NAIVE_WIDTH} in flight`,
    publishTuned: `${PRODUCERS} idempotent producers with one send of ${BATCH} under way each, acks of all replicas`,
    consumeNaive: 'eachMessage',
    consumeTuned: `eachBatch, offsets committed every ${COMMIT_MS} ms`,
  },
  also: { name: '@platformatic/kafka', query: '?client=platformatic' },
  async open({ url, log }) {
    const client = new kafkajs.Kafka({
      clientId: 'bench',
      brokers: [new URL(url).host],
      logLevel: kafkajs.logLevel.NOTHING,
    })
    const admin = client.admin()
    await admin.connect()
    const raw: RawBroker = {
      client: versionOf('kafkajs'),
      server: versionIn(log, 'Kafka', /Kafka version: (\S+)/),
      publishNaive: (topic, make) => publishNaive(client, topic, make),
      publishTuned: (topic, make, attributesOf) => publishTuned(client, topic, make, attributesOf),
      consumeNaive: (topic, handle) => consume(client, topic, handle, 'message'),
      consumeTuned: (topic, handle) => consume(client, topic, handle, 'batch'),
      async left(topic) {
        const ends = await admin.fetchTopicOffsets(topic)
        const [group] = await admin.fetchOffsets({ groupId: `${topic}.${GROUP}`, topics: [topic] })
        const committed = new Map(group?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
        return ends.reduce((sum, { partition, high }) => sum + Number(high) - (committed.get(partition) ?? 0), 0)
      },
      async drop(topic) {
        const names = await admin.listTopics()
        await admin.deleteTopics({ topics: names.filter((name) => name === topic || name.startsWith(`${topic}.`)) })
      },
      close: () => admin.disconnect(),
    }
    return raw
  },
}

async function publishNaive(client: Kafka, topic: string, make: Make): Promise<Publishing> {
  const producer = client.producer()
  await producer.connect()
  return {
    publish: (from, to) =>
      inFlight(from, to, NAIVE_WIDTH, (index) =>
        producer.send({ topic, messages: [{ value: JSON.stringify(make(index)) }] }),
      ),
    close: () => producer.disconnect(),
  }
}

async function publishTuned(
  client: Kafka,
  topic: string,
  make: Make,
  attributesOf?: AttributesOf,
): Promise<Publishing> {
  const producers = Array.from({ length: PRODUCERS }, () => client.producer({ idempotent: true }))
  await Promise.all(producers.map((producer) => producer.connect()))
  const free = [...producers]
  return {
    publish: (from, to) =>
      piecesInFlight(from, to, BATCH, PRODUCERS, async (first, end) => {
        const messages = Array.from({ length: end - first }, (_, at) => {
          const value = JSON.stringify(make(first + at))
          return attributesOf ? { value, headers: textsOf(attributesOf()) } : { value }
        })
        const producer = free.pop()
        if (!producer) throw new Error('more sends than producers')
        await producer.send({ topic, acks: -1, messages })
        free.push(producer)
      }),
    async close() {
      await Promise.all(producers.map((producer) => producer.disconnect()))
    },
  }
}

async function consume(client: Kafka, topic: string, handle: Handle, how: 'message' | 'batch'): Promise<Consuming> {
  const consumer = client.consumer({ groupId: `${topic}.${GROUP}` })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const positions = new Map<number, bigint>()
  const eachBatch = async ({ batch, heartbeat }: EachBatchPayload): Promise<void> => {
    for (const { value } of batch.messages) await handle(JSON.parse(String(value)))
    positions.set(batch.partition, BigInt(batch.lastOffset()) + 1n)
    await heartbeat()
  }
  await consumer.run(
    how === 'batch'
      ? { autoCommitInterval: COMMIT_MS, eachBatch }
      : {
          async eachMessage({ partition, message: { value, offset } }) {
            await handle(JSON.parse(String(value)))
            positions.set(partition, BigInt(offset) + 1n)
          },
        },
  )
  return { close: () => leave(consumer, topic, positions) }
}

/** What the interval has not committed yet. */
async function leave(consumer: Consumer, topic: string, positions: ReadonlyMap<number, bigint>): Promise<void> {
  const offsets = Array.from(positions, ([partition, offset]) => ({ topic, partition, offset: String(offset) }))
  await consumer.commitOffsets(offsets)
  await consumer.disconnect()
}
