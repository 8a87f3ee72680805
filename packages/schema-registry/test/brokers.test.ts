// The same frames through every broker: what Confluent's client wrote is read, and what we write arrives as it would have written it.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type BrokerName, describeBroker, startBroker } from '@polybus/brokers'
import { type Codec, connect, consumer, channel, trust } from 'polybus'
import { expect, test } from 'vitest'
import { schemaRegistry } from '../src/index.ts'
import { vectors } from './confluent/vectors.ts'

const { recorded } = JSON.parse(readFileSync(new URL('confluent/recorded.json', import.meta.url), 'utf8')) as {
  recorded: Readonly<Record<string, string>>
}
const raw: Codec = {
  contentType: 'application/octet-stream',
  encode: (value) => value as Buffer,
  decode: (body) => Buffer.from(body),
}
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

for (const name of ['redis', 'rabbitmq', 'kafka', 'sqs'] satisfies BrokerName[])
  await describeBroker(name, (broker) => {
    test(`${name}: the frames of confluent-kafka, both ways`, { timeout: 120_000 }, async () => {
      const { url } = await startBroker('registry', { instance: 'frames' })
      const namespace = `f${randomUUID().slice(0, 8)}`
      await using bus = await connect({ broker: broker().url, namespace, logger: false })
      const registry = schemaRegistry({ url })
      for (const [index, { name: what, format, schema, message, value }] of vectors.entries()) {
        const options = { schema, message, register: true, subject: `${namespace}-${index}` }
        const codec = { avro: registry.avro, json: registry.jsonSchema, protobuf: registry.protobuf }[format](options)
        const flow = channel(`frames-${index}`, { schema: trust<unknown>(), codec, groups: ['values', 'bytes'] })
        const bytes = channel(flow.name, { schema: trust<Buffer>(), codec: raw, groups: ['values', 'bytes'] })
        const values: unknown[] = []
        const bodies: Buffer[] = []
        await bus.start(
          consumer(flow, 'values', (read) => void values.push(read)),
          consumer(bytes, 'bytes', (body) => void bodies.push(body)),
        )
        await bus.publish(flow, value)
        await expect.poll(() => bodies.length, { timeout: 30_000 }).toBe(1)
        const written = bodies[0] ?? Buffer.alloc(0)
        expect(written.subarray(5).toString('hex'), what).toBe(recorded[what])
        await bus.publish(bytes, Buffer.concat([written.subarray(0, 5), Buffer.from(recorded[what] ?? '', 'hex')]))
        await expect.poll(() => values.length, { timeout: 30_000 }).toBe(2)
        for (const read of values) expect(asJson(read), what).toMatchObject(asJson(value) as object)
      }
    })
  })
