// Records as they are written and read again, without a broker.
import { expect, test } from 'vitest'
import type { NewRecord, RecordHeader } from '../src/client.ts'
import { crc32c, int16, int32, text16 } from '../src/engine/bytes.ts'
import { decodeFetch } from '../src/engine/fetched.ts'
import { produce } from '../src/engine/produce.ts'
import type { Broker, RawRequest } from '../src/engine/wire.ts'

const NOW = 1_700_000_000_000

/** What a Produce request holds of its only batch. */
async function written(records: readonly NewRecord[]): Promise<Buffer> {
  let body: Buffer = Buffer.alloc(0)
  const broker = {
    supports: () => ({ minVersion: 3, maxVersion: 7 }),
    send: <T>(request: RawRequest<T>) => {
      body = request.body
      return Promise.resolve(new Map() as T)
    },
  } as unknown as Broker
  const batch = { topic: 't', partition: 0, firstSequence: 0, now: NOW, records }
  await produce(broker, { transactionalId: undefined, producerId: 1n, producerEpoch: 0, timeoutMs: 1000, compression: 0, batches: [batch] }) // prettier-ignore
  const head = 2 + 10 + text16('t').length + 3 * 4
  return body.subarray(head)
}
async function read(bytes: Buffer): Promise<readonly NewRecord[]> {
  const partition = [int32(0), int16(0), Buffer.alloc(24), int32(0), int32(-1), int32(bytes.length), bytes]
  const answer = Buffer.concat([int32(0), int16(0), int32(0), int32(1), text16('t'), int32(1), ...partition])
  const { responses } = await decodeFetch(answer, 11)
  return responses[0]?.partitions[0]?.batches[0]?.records ?? []
}
const recordOf = (...headers: RecordHeader[]): NewRecord => ({ key: null, value: Buffer.from('v'), headers })
const told = (records: readonly NewRecord[]): unknown =>
  records.map(({ headers }) => headers.map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]))

test.each<[string, readonly NewRecord[]]>([
  ['that all have', [recordOf(['a', '1'], ['b', '2']), recordOf(['a', '1'], ['b', '2']), recordOf(['a', '1'], ['b', '2'])]],
  ['whose values differ at the end, at the beginning, in length', ['11', '12', '02', '0', '', '011'].map((value) => recordOf(['a', value], ['b', 'x']))],
  ['whose names differ', ['a', 'b', 'aa', '', 'a'].map((name) => recordOf([name, 'x'], ['b', 'x']))],
  ['of which one has more, or fewer, or others first', [recordOf(['a', '1'], ['b', '2']), recordOf(['a', '1']), recordOf(), recordOf(['b', '2'], ['a', '1']), recordOf(['a', '1'], ['b', '2'], ['c', '3']), recordOf(['a', '1'], ['b', '2'], ['c', '3'])]],
  ['that stand twice', [recordOf(['a', '1'], ['a', '1']), recordOf(['a', '1'], ['a', '2']), recordOf(['a', '2'], ['a', '1'])]],
  ['that are no ASCII', ['zürich', 'zürich', 'zurich', '🚆', '\u0000', '\ufeffx'].map((text) => recordOf(['a', text], [text, 'a']))],
  ['that are long', [63, 64, 127, 128, 129, 300, 300, 20_000].map((length) => recordOf(['a', 'x'.repeat(length)], ['b', 'ü'.repeat(length)]))],
])('headers %s come back', async (_, records) => {
  expect(told(await read(await written(records)))).toEqual(told(records))
}) // prettier-ignore

test('header values that are no text come back as bytes, empty ones and texts as texts', async () => {
  const bytes = Buffer.from([0xff, 0])
  const wide = Buffer.alloc(300, 0xc3)
  const wanted = recordOf(['a', bytes], ['b', wide], ['c', Buffer.from('text')], ['d', Buffer.alloc(0)])
  const found = await read(await written([wanted, wanted]))
  for (const { headers } of found) expect(headers).toEqual([['a', bytes], ['b', wide], ['c', 'text'], ['d', '']]) // prettier-ignore
})

test('what is read is written again byte for byte', async () => {
  const records = [recordOf(['a', '\ufeffü'], ['b', Buffer.from([0xed, 0xa0, 0x80])]), recordOf(['a', '1'])]
  const first = await written(records)
  expect(await written(await read(first).then((all) => all.map(({ key, value, headers }) => ({ key, value, headers }))))).toEqual(first) // prettier-ignore
})

test('a header that ends behind its batch is refused, also where it begins as the one before it', async () => {
  const bytes = await written([recordOf(['name', '12345']), recordOf(['name', '12345'])])
  const cut = Buffer.concat([bytes.subarray(0, bytes.length - 2)])
  cut.writeInt32BE(cut.length - 12, 8)
  await expect(read(cut)).rejects.toThrow(RangeError)
})

test('CRC-32C is that of each bit in turn, at every length', () => {
  const bytes = Uint8Array.from({ length: 70 }, (_, at) => (at * 167 + 13) & 0xff)
  const slow = (some: Uint8Array): number => {
    let c = 0xffffffff
    for (const byte of some) {
      c ^= byte
      for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
    }
    return ~c >>> 0
  }
  for (let length = 0; length <= bytes.length; length++)
    expect(crc32c(bytes.subarray(0, length))).toBe(slow(bytes.subarray(0, length)))
})
