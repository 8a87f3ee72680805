// A real Kafka: what tests of the adapter rely on.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeBroker, kafkaServer, kafkaTool, kafkaUsers, startBroker } from '@polybus/brokers'
import { Kafka, logLevel, type SASLOptions } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { logsFolder, placeOf, readState } from '../src/cache.ts'
import { scoped } from '../src/current-run.ts'
import { refOf, stateOf } from '../src/processes.ts'

const SLOW = { timeout: 120_000 }

const client = (port: number, sasl?: SASLOptions, retries = 0): Kafka =>
  new Kafka({
    brokers: [`127.0.0.1:${port}`],
    logLevel: logLevel.NOTHING,
    retry: { retries },
    requestTimeout: 5000,
    ...(sasl && { sasl }),
  })

async function withAdmin<T>(kafka: Kafka, work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

async function produce(port: number, topic: string, count: number): Promise<void> {
  const kafka = client(port)
  await withAdmin(kafka, (admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }))
  const producer = kafka.producer()
  await producer.connect()
  const messages = Array.from({ length: count }, (_, index) => ({ value: String(index) }))
  await producer.send({ topic, messages, acks: -1 })
  await producer.disconnect()
}

const countOf = (port: number, topic: string): Promise<string | undefined> =>
  withAdmin(client(port), async (admin) => (await admin.fetchTopicOffsets(topic))[0]?.high)

// Its own: others must not lose theirs in the middle.
const INSTANCE = 'brokers'

await describeBroker(
  'kafka',
  (kafka) => {
    describe('an instance', () => {
      test('kafka: keeps port and data over a kill and a stop', SLOW, async () => {
        const broker = kafka()
        const { port, pid, ports } = broker
        expect(broker.url).toBe(`kafka://127.0.0.1:${port}`)
        expect(broker.keepsData).toBe(true)
        await produce(port, 'kept', 3)

        await broker.kill()
        await expect(countOf(port, 'kept')).rejects.toThrow('ECONNREFUSED')
        await broker.start()
        expect(await countOf(port, 'kept')).toBe('3')
        expect(broker.pid).not.toBe(pid)

        const ref = refOf(broker.pid!)!
        await broker.stop()
        expect(stateOf(ref)).toBe('gone')
        await broker.start()
        expect(broker.ports).toEqual(ports)
        expect(await countOf(port, 'kept')).toBe('3')
      })

      test('kafka: paused it neither answers nor closes, and goes on where it was', SLOW, async () => {
        await produce(kafka().port, 'paused', 1)
        const admin = client(kafka().port).admin()
        await admin.connect()
        kafka().pause()
        let answered = false
        const asked = admin.fetchTopicOffsets('paused').then(([offsets]) => {
          answered = true
          return offsets?.high
        })
        try {
          await new Promise((resolve) => setTimeout(resolve, 300))
          expect(answered).toBe(false)
        } finally {
          kafka().resume()
        }
        expect(await asked).toBe('1')
        await admin.disconnect()
      })

      test('kafka: two at once meet neither in port nor in data, and removed one leaves its log', SLOW, async () => {
        await produce(kafka().port, 'mine', 1)
        const other = await startBroker('kafka', { instance: 'other' })
        expect(Object.values(other.ports).filter((port) => Object.values(kafka().ports).includes(port))).toEqual([])
        const topics = await withAdmin(client(other.port), (admin) => admin.listTopics())
        expect(topics).not.toContain('mine')
        const clusters = await Promise.all(
          [kafka(), other].map(({ port }) => withAdmin(client(port), (admin) => admin.describeCluster())),
        )
        expect(clusters[0]?.clusterId).not.toBe(clusters[1]?.clusterId)

        const { folder, instance } = placeOf('kafka', scoped('other'))
        await other.remove()
        await expect(countOf(other.port, 'mine')).rejects.toThrow('ECONNREFUSED')
        expect(existsSync(folder)).toBe(false)
        expect(readFileSync(join(logsFolder(), `${instance}-kafka`, 'output.log'), 'utf8')).toContain('Kafka version')
      })

      test(
        'kafka: a server that does not start is reported with the last lines of its log, and leaves no process',
        SLOW,
        async () => {
          const place = placeOf('kafka', scoped('broken'))
          mkdirSync(place.data, { recursive: true })
          writeFileSync(join(place.data, 'meta.properties'), 'version=nonsense\n')
          await expect(startBroker('kafka', { instance: 'broken' })).rejects.toThrow(
            /^Kafka did not start: java ended with code 1\.\nThe last lines of .*output\.log:\n[^]*meta\.properties/,
          )
          expect(readState(place)?.processes).toEqual({})
        },
      )
    })

    test('kafka: a topic that nobody created is not created by asking for it', SLOW, async () => {
      const { port } = kafka()
      await withAdmin(client(port), async (admin) => {
        await expect(admin.fetchTopicMetadata({ topics: ['nobodys'] })).rejects.toThrow(
          'does not host this topic-partition',
        )
        expect(await admin.listTopics()).not.toContain('nobodys')
      })
    })

    describe.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('with a login by %s', (mechanism) => {
      const login = (user: { readonly username: string; readonly password: string }): SASLOptions => ({
        mechanism,
        ...user,
      })

      test(`kafka: ${mechanism}: admin may do everything, guest nothing`, SLOW, async () => {
        const { ports } = kafka()
        const sasl = ports['sasl']!
        const topic = `by-${mechanism}`
        await withAdmin(client(sasl, login(kafkaUsers.admin)), (admin) =>
          admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }),
        )
        await withAdmin(client(sasl, login(kafkaUsers.guest)), async (admin) => {
          await expect(admin.fetchTopicMetadata({ topics: [topic] })).rejects.toThrow('Topic authorization failed')
          await expect(
            admin.createTopics({ topics: [{ topic: `guests-${mechanism}`, numPartitions: 1 }] }),
          ).rejects.toMatchObject({ errors: [{ type: 'TOPIC_AUTHORIZATION_FAILED' }] })
        })
        expect(await withAdmin(client(kafka().port), (admin) => admin.listTopics())).toContain(topic)
      })

      test(`kafka: ${mechanism}: a wrong password, or none, is refused`, SLOW, async () => {
        const sasl = kafka().ports['sasl']!
        const wrong = client(sasl, login({ username: kafkaUsers.admin.username, password: 'wrong' })).admin()
        await expect(wrong.connect()).rejects.toThrow('authentication failed')
        await expect(withAdmin(client(sasl), (admin) => admin.listTopics())).rejects.toThrow('Closed connection')
      })
    })

    test('kafka: its own tool tells the lag of a group', SLOW, async () => {
      const { port } = kafka()
      await produce(port, 'lagging', 5)
      // The first to ask for a coordinator makes the topic that it keeps its offsets in.
      await withAdmin(client(port, undefined, 10), (admin) =>
        admin.setOffsets({ groupId: 'slow', topic: 'lagging', partitions: [{ partition: 0, offset: '2' }] }),
      )
      const told = await kafkaTool(INSTANCE, 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', [
        '--describe',
        '--group',
        'slow',
      ])
      expect(told).toMatch(/^slow +lagging +0 +2 +5 +3 /m)
      await expect(
        kafkaTool(INSTANCE, 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', ['--describ']),
      ).rejects.toThrow('describ')
      await expect(kafkaTool('nowhere', 'x', [])).rejects.toThrow("There is no Kafka of instance 'nowhere'")
    })
  },
  { instance: INSTANCE },
)

test.each([
  [undefined, 'kafka'],
  ['', 'kafka'],
  ['redpanda', 'redpanda'],
])('POLYBUS_KAFKA_SERVER=%j means %s', (text, name) => {
  expect(kafkaServer({ POLYBUS_KAFKA_SERVER: text })).toBe(name)
})

test('POLYBUS_KAFKA_SERVER with a name that is none says so', () => {
  expect(() => kafkaServer({ POLYBUS_KAFKA_SERVER: 'pulsar' })).toThrow(
    'POLYBUS_KAFKA_SERVER: unknown server pulsar. Known: kafka, redpanda.',
  )
})
