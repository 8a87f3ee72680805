// Confluent's own client on the same topics and the same registry: it reads what we publish, and we handle what it produces.
import { randomUUID } from 'node:crypto'
import { describeBroker, requiredBrokers, startBroker } from '@polybus/brokers'
import { channel, connect, consumer, trust } from 'polybus'
import { beforeAll, expect, test } from 'vitest'
import { pythonWithClient } from './confluent/install.ts'
import { peer } from './confluent/peer.ts'
import { vectors } from './confluent/vectors.ts'
import { schemaRegistry } from '../src/index.ts'

const INSTALL_LIMIT_MS = 6 * 60_000
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

await describeBroker('kafka', (kafka) => {
  let python: string | undefined
  let problem: unknown
  beforeAll(async () => {
    try {
      python = await pythonWithClient()
    } catch (error) {
      problem = error
    }
  }, INSTALL_LIMIT_MS)

  test(
    'confluent-kafka reads what is published, and what it produces is handled',
    { timeout: 180_000 },
    async ({ skip }) => {
      if (python === undefined) {
        if (requiredBrokers().includes('registry')) throw problem
        return skip(`NOT TESTED with confluent-kafka: ${String(problem)}`)
      }
      const { url } = await startBroker('registry', { instance: 'frames' })
      const brokers = new URL(kafka().url).host
      const client = peer(url, python)
      try {
        await using bus = await connect({ broker: kafka().url, logger: false })
        const registry = schemaRegistry({ url })
        const own = randomUUID().slice(0, 8)
        for (const [index, { name, format, schema, message, value }] of vectors.entries()) {
          const make = { avro: registry.avro, json: registry.jsonSchema, protobuf: registry.protobuf }[format]
          const flowOf = (topic: string) =>
            channel(topic, {
              schema: trust<unknown>(),
              codec: make({ schema, message, register: true }),
              partitions: 1,
            })
          const [ours, theirs] = [flowOf(`${own}-${index}-ours`), flowOf(`${own}-${index}-theirs`)]
          const task = { format, schema, message, brokers }
          await bus.publish(ours, value)
          const read = await client.ask({ ...task, op: 'read', topic: ours.name })
          expect(read, `${name}: they read ours`).toMatchObject(asJson(value) as object)

          const handled: unknown[] = []
          await bus.start(consumer(theirs, 'work', { from: 'beginning', handler: (one) => void handled.push(one) }))
          await client.ask({ ...task, op: 'write', topic: theirs.name, value })
          await expect.poll(() => handled.length, { timeout: 60_000 }).toBe(1)
          expect(asJson(handled[0]), `${name}: we read theirs`).toMatchObject(asJson(value) as object)
        }
      } finally {
        client.end()
      }
    },
  )
})
