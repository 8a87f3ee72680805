// What the two client libraries cost beneath the same client, and by themselves, in one run and alternating:
//   node scripts/brokers/dist/cli.js run node adapters/kafka/test/compare.ts
// docs/decisions/0008-kafka-clients.md holds what it told.
import { randomUUID } from 'node:crypto'
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import * as platformatic from '@platformatic/kafka'
import { startBroker } from '@polybus/brokers'
import { systemClock } from '@polybus/core'
import kafkajs from 'kafkajs'
import type { Client, NewRecord } from '../src/client.ts'
import { openClient } from '../src/open-client.ts'
import { checkOptions } from '../src/options.ts'
import { deferred } from '../src/wait.ts'

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    batch: { type: 'string', default: '500' },
    single: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const [records, rounds, batch, single] = [values.records, values.rounds, values.batch, values.single].map(Number) as [
  number,
  number,
  number,
  number,
]
const PARTITIONS = 4
/** Batches on their way; of one partition the client sends one after the other by itself. */
const OPEN = 8
const BYTES = 256
const FETCH_BYTES = 2 ** 20
const WAIT_MS = 100
const READ_COMMITTED = 1
const TASKS = ['single', 'publish', 'consume'] as const

const broker = await startBroker('kafka', { instance: 'compare' })
const address = `${broker.host}:${broker.port}`
const clock = systemClock()
const call = { signal: new AbortController().signal }
const value = Buffer.alloc(BYTES, 'polybus ')

/** One way of one library. */
interface Way {
  readonly name: string
  open(topic: string): Promise<Opened>
}
interface Opened {
  send(partition: number, count: number): Promise<unknown>
  /** Resolves when so many were read from the beginning, by a new group; what it answers ends the consumer. */
  read(count: number): Promise<() => Promise<unknown>>
  close(): Promise<unknown>
}

const ours = (library: 'kafkajs' | 'platformatic'): Way => ({
  name: `${library}, our client`,
  async open(topic) {
    const client = openClient(checkOptions({ url: `kafka://${address}`, client: library }), clock, 'compare')
    await client.connect(call)
    const producer = client.producer()
    const record: NewRecord = { key: null, value, headers: [] }
    return {
      async send(partition, count) {
        const [result] = await producer.produce([{ topic, partition, records: Array.from({ length: count }, () => record) }], call) // prettier-ignore
        if (!result?.ok) throw result?.error ?? new Error('no result')
      },
      read: (count) => readBy(client, topic, count),
      close: () => client.close(),
    }
  },
})
async function readBy(client: Client, topic: string, count: number): Promise<() => Promise<unknown>> {
  const { promise, resolve, reject } = deferred<void>()
  let seen = 0
  const member = await client.join(
    {
      group: randomUUID(),
      topics: [topic],
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      heartbeatMs: 1000,
      maxWaitMs: WAIT_MS,
      maxBytesPerPartition: FETCH_BYTES,
      events: {
        onAssigned: ({ partitions }) => Promise.resolve(partitions.map((one) => ({ ...one, offset: 0n }))),
        onRevoking: () => Promise.resolve(),
        onLost: () => reject(new Error('lost')),
        onRecords: (some) => {
          seen += some.records.length
          if (seen >= count) resolve()
        },
        onCheck: () => {},
        onOutOfRange: () => reject(new Error('out of range')),
        onDead: reject,
      },
    },
    call,
  )
  await promise
  return member.stop
}

const rawKafkajs: Way = {
  name: 'kafkajs, its own',
  async open(topic) {
    const kafka = new kafkajs.Kafka({ brokers: [address], logLevel: kafkajs.logLevel.NOTHING })
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
    await producer.connect()
    return {
      send: (partition, count) =>
        producer.send({ topic, messages: Array.from({ length: count }, () => ({ value, partition })) }),
      async read(count) {
        const consumer = kafka.consumer({ groupId: randomUUID(), maxBytesPerPartition: FETCH_BYTES, maxWaitTimeInMs: WAIT_MS }) // prettier-ignore
        const { promise, resolve } = deferred<void>()
        let seen = 0
        await consumer.connect()
        await consumer.subscribe({ topics: [topic], fromBeginning: true })
        await consumer.run({
          autoCommit: false,
          eachBatch: ({ batch: some }) => {
            seen += some.messages.length
            if (seen >= count) resolve()
            return Promise.resolve()
          },
        })
        await promise
        return () => consumer.disconnect()
      },
      close: () => producer.disconnect(),
    }
  },
}

const rawPlatformatic: Way = {
  name: 'platformatic, its own',
  async open(topic) {
    const base = { clientId: 'compare', bootstrapBrokers: [address] }
    const producer = new platformatic.Producer<Buffer, Buffer, Buffer, Buffer>(base)
    return {
      send: (partition, count) =>
        producer.send({ messages: Array.from({ length: count }, () => ({ topic, partition, value })), acks: -1 }),
      async read(count) {
        const consumer = new platformatic.Consumer<Buffer, Buffer, Buffer, Buffer>({ ...base, groupId: randomUUID() })
        const stream = await consumer.consume({
          topics: [topic],
          mode: 'earliest',
          autocommit: false,
          maxWaitTime: WAIT_MS,
          maxBytesPerPartition: FETCH_BYTES,
          isolationLevel: READ_COMMITTED,
          sessionTimeout: 10_000,
          heartbeatInterval: 1000,
        })
        const { promise, resolve, reject } = deferred<void>()
        let seen = 0
        stream.on('error', reject)
        stream.on('data', () => {
          if (++seen >= count) resolve()
        })
        await promise
        return () => consumer.close(true)
      },
      close: () => producer.close(),
    }
  },
}

const ways: readonly Way[] = [ours('kafkajs'), ours('platformatic'), rawKafkajs, rawPlatformatic]

interface Cost {
  readonly ms: number
  readonly cpuMs: number
}
async function timed(work: () => Promise<unknown>): Promise<Cost> {
  const before = process.cpuUsage()
  const begun = performance.now()
  await work()
  const { user, system } = process.cpuUsage(before)
  return { ms: performance.now() - begun, cpuMs: (user + system) / 1000 }
}

async function publish({ send }: Opened, count: number): Promise<void> {
  let left = Math.ceil(count / batch)
  const worker = async (first: number): Promise<void> => {
    for (let partition = first; left-- > 0; partition += 1) await send(partition % PARTITIONS, batch)
  }
  await Promise.all(Array.from({ length: OPEN }, (_, n) => worker(n)))
}

async function round({ open }: Way, count: number, admin: kafkajs.Admin): Promise<Record<Task, Cost>> {
  const topic = `compare-${randomUUID()}`
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] })
  const opened = await open(topic)
  try {
    await publish(opened, batch * PARTITIONS)
    const one = await timed(async () => {
      for (let n = 0; n < single; n++) await opened.send(n % PARTITIONS, 1)
    })
    const sent = await timed(() => publish(opened, count))
    // All that was sent, from the beginning.
    let stop: (() => Promise<unknown>) | undefined
    const read = await timed(async () => (stop = await opened.read(count + batch * PARTITIONS + single)))
    await stop?.()
    return { single: one, publish: sent, consume: read }
  } finally {
    await opened.close()
    await admin.deleteTopics({ topics: [topic] })
  }
}
type Task = (typeof TASKS)[number]

const median = (list: readonly number[]): number => {
  const sorted = list.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const admin = new kafkajs.Kafka({ brokers: [address], logLevel: kafkajs.logLevel.NOTHING }).admin()
await admin.connect()
const costs = new Map(ways.map(({ name }) => [name, [] as Record<Task, Cost>[]]))
// The first round warms up.
for (let n = 0; n <= rounds; n++)
  for (const way of ways) {
    const cost = await round(way, records, admin)
    if (n > 0) costs.get(way.name)?.push(cost)
    console.error(`round ${n}/${rounds}  ${way.name}  ${TASKS.map((task) => `${task} ${cost[task].ms.toFixed(0)} ms`).join('  ')}`) // prettier-ignore
  }
await admin.disconnect()

const unit = { single, publish: records, consume: records + batch * PARTITIONS + single }
const [first] = ways
const results = TASKS.flatMap((task) =>
  ways.map(({ name }) => {
    const list = (costs.get(name) ?? []).map((cost) => cost[task])
    const base = (costs.get(first?.name ?? '') ?? []).map((cost) => cost[task])
    const rates = list.map(({ ms }) => (unit[task] / ms) * 1000)
    return {
      task,
      name,
      median: median(rates),
      lowest: Math.min(...rates),
      highest: Math.max(...rates),
      ratio: median(rates) / median(base.map(({ ms }) => (unit[task] / ms) * 1000)),
      cpuMicros: median(list.map(({ cpuMs }) => (cpuMs / unit[task]) * 1000)),
    }
  }),
)
const number = (amount: number): string => Math.round(amount).toLocaleString('en-US')
console.log(
  `${records} records of ${BYTES} B in batches of ${batch}, ${PARTITIONS} partitions, ${rounds} rounds; ${availableParallelism()} cores of ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}\n`,
)
console.log(`${'task'.padEnd(8)} ${'client'.padEnd(26)} ${'records/s'.padStart(10)} ${'range'.padStart(20)} ${'ratio'.padStart(6)} ${'own CPU µs'.padStart(11)}`) // prettier-ignore
for (const { task, name, median: rate, lowest, highest, ratio, cpuMicros } of results)
  console.log(`${task.padEnd(8)} ${name.padEnd(26)} ${number(rate).padStart(10)} ${`${number(lowest)} to ${number(highest)}`.padStart(20)} ${ratio.toFixed(2).padStart(6)} ${cpuMicros.toFixed(1).padStart(11)}`) // prettier-ignore
if (values.json) console.log(JSON.stringify({ records, rounds, batch, results }))
process.exit()
