// Compressed batches, both ways between ours and Java: a topic's `compression.type` makes the broker write them anew.
import { randomBytes } from 'node:crypto'
import { describeBroker } from '@polybus/brokers'
import { type PolybusError } from '@polybus/core'
import kafkajs from 'kafkajs'
import { compress as snappyBlock } from 'snappy'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { NewRecord } from '../src/client.ts'
import { CodecMissing, codecOf, compressionOf } from '../src/codecs.ts'
import { asRegistered, type Registered } from '../src/kafkajs/codecs.ts'
import { call, client, record, topic } from './client-support.ts'

vi.setConfig({ testTimeout: 60_000 })

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const PACKAGES = [
  ['snappy', 'snappy'],
  ['lz4', 'lz4-napi'],
] as const
const TABLE = kafkajs.CompressionCodecs as unknown as Record<number, () => Registered>
const absent = (name: string): Promise<never> => Promise.reject(new Error(`Cannot find package '${name}'`))

/** More than a block of any codec, with what compresses well and what does not. */
const records: readonly NewRecord[] = [
  ...Array.from({ length: 300 }, (_, n) => record(`${n} `.repeat(n), { key: Buffer.from(`k-${n}`) })),
  record(''),
  record(randomBytes(100_000)),
  record('polybus '.repeat(12_500), { headers: [['a', Buffer.from('1')]] }),
]
const texts = (list: readonly Pick<NewRecord, 'value'>[]): string[] =>
  list.map(({ value }) => Buffer.from(value ?? '').toString('base64'))

await describeBroker('kafka', (broker) => {
  const write = async (name: string, options: Parameters<typeof client>[1]): Promise<void> => {
    const producer = client(broker(), options).producer()
    const [result] = await producer.produce([{ topic: name, partition: 0, records }], call)
    expect(result).toEqual({ ok: true, value: 0n })
  }
  const readAll = async (name: string): Promise<string[]> => {
    const found = await client(broker()).read({ topic: name, partition: 0, offset: 0n }, 1000, call)
    return texts(found.records)
  }

  test.each(CODECS)('kafka: reads what Java compressed with %s', async (codec) => {
    const own = client(broker())
    const used = vi.spyOn(TABLE[compressionOf(codec)]?.() as Registered, 'decompress')
    const name = await topic(own, 1, { 'compression.type': codec })
    await write(name, {})
    expect(await readAll(name)).toEqual(texts(records))
    expect(used).toHaveBeenCalled()
  })

  test.each(CODECS)('kafka: Java reads what ours compressed with %s', async (codec) => {
    const own = client(broker(), { compression: codec })
    await own.connect(call)
    const used = vi.spyOn(TABLE[compressionOf(codec)]?.() as Registered, 'compress')
    const name = await topic(own, 1, { 'compression.type': 'uncompressed' })
    await write(name, { compression: codec })
    expect(await readAll(name)).toEqual(texts(records))
    expect(used).toHaveBeenCalled()
  })

  test.each(PACKAGES)(
    'kafka: a topic of %s without its package ends the member, and says what to install',
    async (codec, name) => {
      const own = client(broker())
      const number = compressionOf(codec)
      const there = TABLE[number]
      const missing = codecOf(number, absent)
      const topicName = await topic(own, 1, { 'compression.type': codec })
      await write(topicName, {})
      TABLE[number] = () => asRegistered(missing as NonNullable<typeof missing>)
      onTestFinished(() => void (TABLE[number] = there as () => Registered))

      const dead = await new Promise<PolybusError>((resolve, reject) => {
        own
          .join(
            {
              group: `${topicName}.g`,
              topics: [topicName],
              sessionTimeoutMs: 6000,
              rebalanceTimeoutMs: 6000,
              heartbeatMs: 300,
              maxWaitMs: 250,
              maxBytesPerPartition: 2 ** 20,
              events: {
                onAssigned: ({ partitions }) => Promise.resolve(partitions.map((one) => ({ ...one, offset: 0n }))),
                onRevoking: () => Promise.resolve(),
                onLost: () => {},
                onRecords: () => reject(new Error('it was read')),
                onOutOfRange: () => {},
                onDead: (error) => resolve(error as PolybusError),
              },
            },
            call,
          )
          .catch(reject)
      })
      expect(dead).toMatchObject({ code: 'UNSUPPORTED', retryable: false })
      expect(dead.message).toContain(`npm install ${name}`)
      await expect(own.read({ topic: topicName, partition: 0, offset: 0n }, 1, call)).rejects.toThrow(
        `npm install ${name}`,
      )
      await expect(client(broker(), { compression: codec }).connect(call)).rejects.toMatchObject({
        code: 'UNSUPPORTED',
      })
    },
  )
})

test('kafka: snappy without Java’s blocks is read too, as other clients write it', async () => {
  const bytes = Buffer.from('polybus '.repeat(10_000))
  expect(await codecOf(compressionOf('snappy'))?.decompress(await snappyBlock(bytes))).toEqual(bytes)
})

test('kafka: a snappy batch that was cut off is an error, not a wait', async () => {
  const codec = codecOf(compressionOf('snappy'))
  const whole = await codec?.compress(Buffer.from('polybus '.repeat(10_000)))
  await expect(codec?.decompress(whole?.subarray(0, -5) as Buffer)).rejects.toThrow('longer than its batch')
})

test.each(PACKAGES)('kafka: without its package %s names what to install', async (codec, name) => {
  const made = codecOf(compressionOf(codec), absent)
  await expect(made?.compress(Buffer.from('x'))).rejects.toThrow(CodecMissing)
  await expect(made?.decompress(Buffer.from('x'))).rejects.toThrow(`npm install ${name}`)
})

test('kafka: a package that is too old is said to be', async () => {
  const made = codecOf(compressionOf('lz4'), () => Promise.resolve({ compress: () => {} }))
  await expect(made?.decompress(Buffer.from('x'))).rejects.toThrow(/lz4-napi has no compressFrame/)
})
