// Compressed batches, both ways between ours and Java: a topic's `compression.type` makes the broker write them anew.
import { randomBytes } from 'node:crypto'
import { describeBroker } from '@polybus/brokers'
import { type PolybusError } from '@polybus/core'
import { compress as snappyBlock } from 'snappy'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { NewRecord } from '../src/client.ts'
import { codecOf, compressionOf } from '../src/codecs.ts'
import { call, client, overheard, record, topic } from './client-support.ts'
import type { Via } from './library.ts'

vi.setConfig({ testTimeout: 60_000 })

/** Behind what does not compress all codecs look less closely for a while. */
const MANY = 'polybus '.repeat(5000)
const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const PACKAGES = [
  ['snappy', 'snappy'],
  ['lz4', 'lz4-napi'],
] as const
function replaced(name: string, made: () => Record<string, unknown>): void {
  vi.doMock(name, made)
  onTestFinished(() => vi.doUnmock(name))
}
/** As if it were not installed. */
const without = (name: string): void =>
  replaced(name, () => {
    throw new Error(`Cannot find package '${name}'`)
  })

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
  const readAll = async (name: string, options: Parameters<typeof client>[1] = {}): Promise<string[]> => {
    const found = await client(broker(), options).read({ topic: name, partition: 0, offset: 0n }, 1000, call)
    return texts(found.records)
  }
  /** Whether what repeats itself goes over the wire as it is. */
  const listening = async (): Promise<{ readonly to: Via['to'] & {}; repeats(): boolean }> => {
    const heard: Buffer[] = []
    const to = await overheard(broker(), (bytes) => heard.push(bytes))
    return { to, repeats: () => Buffer.concat(heard).includes(MANY) }
  }

  test.each(['uncompressed', ...CODECS])('kafka: reads what Java compressed with %s', async (codec) => {
    const name = await topic(client(broker()), 1, { 'compression.type': codec })
    await write(name, {})
    const { to, repeats } = await listening()
    expect(await readAll(name, { client: { to } })).toEqual(texts(records))
    expect(repeats()).toBe(codec === 'uncompressed')
  })

  test.each(['none', ...CODECS] as const)('kafka: Java reads what ours compressed with %s', async (compression) => {
    const name = await topic(client(broker()), 1, { 'compression.type': 'uncompressed' })
    const { to, repeats } = await listening()
    await write(name, { compression, client: { to } })
    expect(repeats()).toBe(compression === 'none')
    expect(await readAll(name)).toEqual(texts(records))
  })

  test.each(PACKAGES)(
    'kafka: a topic of %s without its package ends the member, and says what to install',
    async (codec, name) => {
      const own = client(broker())
      const topicName = await topic(own, 1, { 'compression.type': codec })
      await write(topicName, {})
      without(name)

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
                onCheck: () => {},
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
  without(name)
  const made = codecOf(compressionOf(codec))
  for (const work of [made?.compress(Buffer.from('x')), made?.decompress(Buffer.from('x'))])
    await expect(work).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining(`npm install ${name}`),
    })
})

test('kafka: a package that is too old is said to be', async () => {
  replaced('lz4-napi', () => ({ compress: () => {}, default: undefined }))
  await expect(codecOf(compressionOf('lz4'))?.decompress(Buffer.from('x'))).rejects.toThrow(
    /lz4-napi has no compressFrame/,
  )
})

test.each(CODECS)('kafka: a damaged batch of %s is an error that is not tried again', async (codec) => {
  const work = codecOf(compressionOf(codec))?.decompress(Buffer.from('no batch of this kind'))
  await expect(work).rejects.toMatchObject({ code: 'BROKER_REFUSED', retryable: false })
})
