// Records as they are written and read: all of it, and in order.
import { describeBroker } from '@polybus/brokers'
import kafkajs, { type IHeaders } from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { NewRecord } from '../src/client.ts'
import { crc32c, putVarint, reader, varintSize } from '../src/engine/bytes.ts'
import { call, client, clock, join, topic } from './client-support.ts'
import { until } from './support.ts'

vi.setConfig({ testTimeout: 60_000 })

test('kafka: numbers of records survive the way, up to what JavaScript counts exactly', () => {
  const numbers = [
    0,
    1,
    -1,
    63,
    64,
    -64,
    -65,
    8191,
    8192,
    2 ** 31,
    -(2 ** 31),
    2 ** 45 + 1,
    -(2 ** 45) - 1,
    2 ** 52 - 1,
  ]
  for (const number of numbers) {
    const buffer = Buffer.alloc(12)
    const end = putVarint(buffer, 0, number)
    expect(varintSize(number)).toBe(end)
    const from = reader(buffer)
    expect(from.varint()).toBe(number)
    expect(from.at).toBe(end)
  }
})

test('kafka: the checksum is CRC-32C', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
})

test('kafka: what ends too early is an error', () => {
  expect(() => reader(Buffer.from([1, 2])).int32()).toThrow(RangeError)
  expect(() => reader(Buffer.from([4, 1])).bytes(-1)).toThrow(RangeError)
  expect(() => reader(Buffer.alloc(20, 0xff)).varint()).toThrow(RangeError)
})

await describeBroker('kafka', (broker) => {
  const headers = (record: Pick<NewRecord, 'headers'>): string[] =>
    record.headers.map(([name, value]) => `${name}=${Buffer.from(value).toString()}`)

  test('kafka: headers keep their order and their duplicates, whatever their names are', async () => {
    const own = client(broker())
    const name = await topic(own)
    const written: NewRecord = {
      key: null,
      value: Buffer.from('x'),
      timestamp: 1_700_000_000_123,
      headers: [
        ['b', Buffer.from('1')],
        ['10', 'two'],
        ['a', ''],
        ['b', Buffer.from([0xff, 0])],
        ['9', '5'],
        ['__proto__', '6'],
        ['constructor', '7'],
        ['', 'no name'],
        ['größe', '✓'],
      ],
    }
    const producer = own.producer()
    const older = { key: Buffer.from('k'), value: null, headers: [], timestamp: 1_600_000_000_000 }
    const [result] = await producer.produce([{ topic: name, partition: 0, records: [written, older] }], call)
    expect(result).toEqual({ ok: true, value: 0n })
    const { records } = await own.read({ topic: name, partition: 0, offset: 0n }, 10, call)
    expect(records.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [0n, 1_700_000_000_123],
      [1n, 1_600_000_000_000],
    ])
    const [first, second] = records
    expect(headers(first as NewRecord)).toEqual(headers(written))
    expect(first?.headers[3]?.[1]).toEqual(Buffer.from([0xff, 0]))
    expect(second).toMatchObject({ key: Buffer.from('k'), value: null, headers: [] })
  })

  test('kafka: kafkajs reads what ours writes, and ours what kafkajs writes', async () => {
    const own = client(broker())
    const name = await topic(own)
    const { host, port } = broker()
    const plain = new kafkajs.Kafka({ brokers: [`${host}:${port}`], logLevel: kafkajs.logLevel.NOTHING })
    const consumer = plain.consumer({ groupId: `${name}.g`, maxWaitTimeInMs: 100 })
    const producer = plain.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
    onTestFinished(async () => void (await Promise.all([consumer.disconnect(), producer.disconnect()])))
    const heard: { value: string | undefined; headers: IHeaders | undefined }[] = []
    await Promise.all([producer.connect(), consumer.subscribe({ topics: [name], fromBeginning: true })])
    await consumer.run({
      eachMessage: ({ message }) => {
        heard.push({ value: message.value?.toString(), headers: message.headers })
        return Promise.resolve()
      },
    })
    const record = { key: null, value: Buffer.from('ours'), headers: [['a', 'b']] as const }
    await own.producer().produce([{ topic: name, partition: 0, records: [record] }], call)
    await producer.send({ topic: name, messages: [{ value: 'theirs', headers: { a: ['b', 'c'], d: 'e' } }] })
    await until(() => heard.length === 2, 'both to be read by kafkajs')
    expect(heard.find(({ value }) => value === 'ours')?.headers).toEqual({ a: Buffer.from('b') })
    const { records } = await own.read({ topic: name, partition: 0, offset: 0n }, 10, call)
    const theirs = records.find(({ value }) => Buffer.from(value ?? '').toString() === 'theirs')
    expect(headers(theirs as NewRecord)).toEqual(['a=b', 'a=c', 'd=e'])
    expect(theirs).toMatchObject({ value: Buffer.from('theirs'), offset: 1n })
  })

  test('kafka: a record with 20,000 headers holds nobody up', async () => {
    const own = client(broker())
    const name = await topic(own)
    const reading = await join(own, name)
    const many = Array.from({ length: 20_000 }, (_, n): [string, string] => [`h${n}`, 'x'])
    const record = { key: null, value: Buffer.from('many'), headers: many }
    const begun = clock.now()
    await own.producer().produce([{ topic: name, partition: 0, records: [record] }], call)
    await until(() => reading.values.includes('many'), 'the record')
    // 27 s and more where headers are read in quadratic time.
    expect(clock.now() - begun).toBeLessThan(10_000)
    expect(reading.batches.flatMap(({ records }) => records)[0]?.headers).toHaveLength(20_000)
  })

  test('kafka: where compaction emptied batches the position goes on', async () => {
    const own = client(broker())
    const name = await topic(own, 1, {
      'cleanup.policy': 'compact',
      'segment.ms': '100',
      'min.cleanable.dirty.ratio': '0.001',
      'delete.retention.ms': '1',
      'max.compaction.lag.ms': '100',
    })
    const producer = own.producer()
    const put = (key: string, value: string | null): Promise<unknown> => {
      const record = { key: Buffer.from(key), value: value === null ? null : Buffer.from(value), headers: [] }
      return producer.produce([{ topic: name, partition: 0, records: [record] }], call)
    }
    for (let n = 0; n < 20; n++) await put('same', `${n}`)
    const read = async (): Promise<string[]> => {
      const found: string[] = []
      const [range] = await own.admin.offsets(name, call)
      for (let offset = 0n; offset < (range?.end ?? 0n);) {
        const { records, lastOffset } = await own.read({ topic: name, partition: 0, offset }, 100, call)
        found.push(...records.map(({ value }) => Buffer.from(value ?? '').toString()))
        if (lastOffset < offset) break
        offset = lastOffset + 1n
      }
      return found
    }
    // A new segment begins with what is written after its time; the one before can then be compacted.
    await until(async () => (await put('other', 'x'), (await read()).filter((value) => /^\d+$/.test(value)).length <= 1), 'the compaction', 40_000) // prettier-ignore
    const reading = await join(own, name)
    await put('last', 'end')
    await until(() => reading.values.includes('end'), 'the end')
    expect(reading.values.filter((value) => /^\d+$/.test(value))).toEqual(['19'])
  })
})
