import { describe, expect, test } from 'vitest'
import type { WireMessage } from '@polybus/core'
import { wireMessage } from '@polybus/testkit'
import { toForeign } from '../src/foreign.ts'
import { createKeep } from '../src/bodies.ts'
import { type Fields, isText, pack, type Packed, unpack } from '../src/fields.ts'
import { bytesOf, createReading, fromFields, parsePosition, partitionOf, size, toFields } from '../src/mapping.ts'
import { keysOf } from '../src/names.ts'
import { packNote, unpackNote } from '../src/notes.ts'
import type { RedisChannelOptions, RedisEnvelope } from '../src/options.ts'

const message = (more: Partial<WireMessage> = {}): WireMessage =>
  wireMessage({
    id: 'm-1',
    source: 'shop',
    type: 'orders',
    time: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
    key: 'c-42',
    body: Buffer.from('{"cents":1}'),
    ...more,
  })
const back = (one: WireMessage): WireMessage => fromFields(pack(toFields(one)), 'orders', '0/1-0')
const foreign = (...fields: (string | Buffer)[]): WireMessage => fromFields(pack(fields), 'orders', '0/1-0')
const plain = (one: WireMessage): unknown => ({ ...one, body: one.body && Buffer.from(one.body).toString('latin1') })

/** As they lie in one reply. */
function together(entries: readonly Fields[]): Packed[] {
  const { bytes, at } = pack(entries.flat())
  let from = 0
  return entries.map(({ length: count }) => {
    const one = { bytes, at, from, count }
    from += 2 * count
    return one
  })
}

describe('redis: entries one after the other', () => {
  test('keep nothing of the one before that they do not have themselves', () => {
    const reading = createReading()
    const all = [
      message({ correlationId: 'one', type: 'orders' }),
      message({ id: 'm-2', type: 'orderz', key: undefined, time: undefined }),
      message({ id: 'm-3', type: 'order', source: 'shöp', time: Date.UTC(2026, 0, 2, 3, 4, 5, 7) }),
      message({ id: 'm-4', type: 'order', source: 'shöp' }),
    ]
    for (const entries of [together(all.map((one) => toFields(one))), all.map((one) => pack(toFields(one)))]) {
      const read = entries.map((one) => fromFields(one, 'orders', '0/1-0', {}, reading))
      expect(read.map(plain)).toEqual(all.map(plain))
    }
  })

  test('a time that cannot be read stays unknown, also the second time', () => {
    const reading = createReading()
    const odd = ['data', 'x', 'ce_specversion', '1.0', 'ce_id', 'a', 'ce_time', 'soon']
    const times = together([odd, odd]).map((fields) => fromFields(fields, 'orders', '0/1-0', {}, reading).time)
    expect(times).toEqual([undefined, undefined])
  })

  test('bytes are compared with text by what they mean', () => {
    const fields = pack(['shop', 'shops', Buffer.from([0xe9])])
    expect(isText(fields, 0, 'shop')).toBe(true)
    expect(isText(fields, 1, 'shop')).toBe(false)
    expect(isText(fields, 3, '')).toBe(false)
    // The byte has the number of the character, and is no text at all.
    expect(isText(fields, 2, 'é')).toBe(false)
  })
})

describe('redis: what is kept of an entry', () => {
  /** A field of so many bytes that lies in so many. */
  const lying = (length: number, inside: number): Packed => {
    const bytes = Buffer.alloc(inside, 'x')
    bytes.write('body', 7)
    return { bytes, at: Int32Array.of(7, 7 + length), from: 0, count: 1 }
  }

  test.each([
    [4, 64 * 1024],
    [1024, 64 * 1024],
    [1025, 64 * 1024],
    [4096, 64 * 1024],
    [16_384, 8 * 2 ** 20],
    [16_385, 8 * 2 ** 20],
    [100_000, 8 * 2 ** 20],
    [50_000, 64 * 1024],
    [4, 20],
  ])('a body of %i bytes among %i keeps at most eight times its own, or 8 KiB', (length, inside) => {
    const keep = createKeep()
    for (let index = 0; index < 50; index++) {
      const body = keep(lying(length, inside), 0)
      expect(body).toHaveLength(length)
      expect(String(body.subarray(0, 4))).toBe('body')
      expect(body.buffer.byteLength).toBeLessThanOrEqual(Math.max(8 * length, 8 * 1024))
    }
  })

  test('a small body behind a larger one keeps no more than a small one does', () => {
    const keep = createKeep()
    keep(lying(10_000, 2 ** 20), 0)
    expect(keep(lying(4, 2 ** 20), 0).buffer.byteLength).toBe(8 * 1024)
  })

  test('small bodies share bytes, and none has those of another', () => {
    const keep = createKeep()
    const texts = Array.from({ length: 3000 }, (_, index) => `body ${index}${'.'.repeat(index % 700)}`)
    const { bytes, at } = pack(texts)
    const bodies = texts.map((_, index) => keep({ bytes, at, from: 0, count: texts.length }, index))
    expect(bodies.map(String)).toEqual(texts)
    expect(new Set(bodies.map(({ buffer }) => buffer)).size).toBeLessThan(texts.length / 10)
  })

  test('fields of a foreign entry keep its bytes alone', () => {
    const { bytes } = pack(['x'.repeat(100_000), 'data', 'y'.repeat(200)])
    const fields = unpack({ bytes, at: Int32Array.of(100_000, 100_004, 100_004, 100_204), from: 0, count: 2 })
    expect(fields.map(String)).toEqual(['data', 'y'.repeat(200)])
    for (const { buffer } of fields) expect(buffer.byteLength).toBe(204)
    expect(unpack(pack([]))).toEqual([])
  })

  test('headers that are no text are bytes of their own', () => {
    const bad = Buffer.from([0xff, 0xfe])
    const read = fromFields(pack(['ce_specversion', '1.0', 'ce_id', 'a', 'h', bad, 'g', '\ufffd']), 'orders', '0/1-0')
    expect(read.headers).toEqual([
      ['h', bad],
      ['g', '\ufffd'],
    ])
    expect(read.headers[0]?.[1]).toMatchObject({ buffer: { byteLength: 2 } })
  })
})

describe('redis: an entry of ours', () => {
  test('has the body first, then attributes under the names of CloudEvents, then headers', () => {
    expect(
      toFields(message({ headers: [['trace', 'abc']] }))
        .map(String)
        .join(' '),
    ).toBe(
      'data {"cents":1} ce_specversion 1.0 ce_id m-1 ce_source shop ce_type orders ce_partitionkey c-42 ' +
        'content-type application/json ce_time 2026-01-02T03:04:05.006Z trace abc',
    )
  })

  test.each([
    ['all attributes', message({ dataSchema: 'urn:1', correlationId: 'c', causationId: 'b' })],
    ['a tombstone', message({ body: null })],
    ['an empty body', message({ body: Buffer.alloc(0) })],
    ['bytes that are no text', message({ body: Buffer.from([0, 255, 128]) })],
    ['a large text', message({ body: Buffer.alloc(20_000, 'é') })],
    ['nothing but an id', message({ source: undefined, type: undefined, time: undefined, key: undefined })],
    [
      'headers that repeat, are empty or binary',
      message({
        headers: [
          ['a', '1'],
          ['a', ''],
          ['b', Buffer.from([255])],
        ],
      }),
    ],
    [
      'a header with the name of the body',
      message({
        headers: [
          ['data', 'x'],
          ['ce_id', 'y'],
        ],
      }),
    ],
    ['a header with the name of the body, and no body', message({ body: null, headers: [['data', 'x']] })],
    [
      'headers of core',
      message({
        headers: [
          ['polybus-attempt', '3'],
          ['x', '1'],
        ],
      }),
    ],
  ])('comes back with %s', (_, one) => {
    expect(plain(back(one))).toEqual(plain(one))
  })

  test('is counted as the server stores it', () => {
    for (const one of [message(), message({ body: null, headers: [['né', 'ü']] }), message({ key: undefined })]) {
      const stored = bytesOf(pack(toFields(one)))
      expect(size(one)).toBe(stored)
    }
  })
})

describe('redis: a foreign entry', () => {
  test('has its body in data, and its other fields as headers, in order', () => {
    const { body, headers, id } = foreign('x', '1', 'data', 'hello', 'x', '2')
    expect(String(body)).toBe('hello')
    expect(headers).toEqual([
      ['x', '1'],
      ['x', '2'],
    ])
    expect(id).toBe('orders/0/1-0')
  })

  test('may name its body and its key otherwise', () => {
    const options = { bodyField: 'payload', keyField: 'customer' }
    const { body, key, headers } = fromFields(
      pack(['customer', 'c-1', 'payload', '{}', 'data', 'x']),
      'o',
      '0/1-0',
      options,
    )
    expect([String(body), key, headers]).toEqual(['{}', 'c-1', [['data', 'x']]])
  })

  test('without a body field is a JSON object of its fields', () => {
    const { body, headers, contentType } = foreign('id', '5', 'cents', '100', 'polybus-reason', 'invalid')
    expect(JSON.parse(String(body))).toEqual({ id: '5', cents: '100' })
    expect(headers).toEqual([['polybus-reason', 'invalid']])
    expect(contentType).toBe('application/json')
  })

  test('with nothing but attributes is a tombstone', () => {
    expect(foreign('ce_partitionkey', 'k')).toMatchObject({ key: 'k', body: null })
  })

  test('with attributes of CloudEvents keeps them', () => {
    const read = foreign('ce_id', 'e-1', 'ce_time', 'never', 'data', 'x')
    expect([read.id, read.time]).toEqual(['e-1', undefined])
  })
})

describe('redis: an envelope', () => {
  const read = (options: RedisChannelOptions, ...fields: string[]): WireMessage =>
    fromFields(pack(fields), 'orders', '0/1-0', options)
  const written = (options: RedisChannelOptions, more: Partial<WireMessage>): string[] =>
    toForeign(message({ headers: [['trace', 'abc']], ...more }), options).map(String)

  test('none writes body, content type and headers, and reads attributes as headers', () => {
    const options = { envelope: 'none', bodyField: 'payload', keyField: 'customer' } as const
    const fields = written(options, { body: Buffer.from('{}'), key: 'c-1', contentType: 'application/json' })
    expect(fields).toEqual(['payload', '{}', 'content-type', 'application/json', 'customer', 'c-1', 'trace', 'abc'])
    const back = read(options, ...fields, 'ce_id', 'x')
    expect(back).toMatchObject({ id: 'orders/0/1-0', key: 'c-1', contentType: 'application/json' })
    expect(back.headers).toEqual([
      ['trace', 'abc'],
      ['ce_id', 'x'],
    ])
  })

  test('fields writes the values of an object, and reads them all, the one named data too', () => {
    const options = { envelope: 'fields', keyField: 'customer' } as const
    const fields = written(options, { body: Buffer.from('{"customer":"c-1","data":5,"paid":true}'), key: 'c-1' })
    expect(fields).toEqual(['customer', 'c-1', 'data', '5', 'paid', 'true'])
    // The key's field is a name, not a value.
    const other = written(options, { body: Buffer.from('{"by":"customer"}'), key: 'c-1' })
    expect(other).toEqual(['by', 'customer', 'customer', 'c-1'])
    const back = read(options, ...fields, 'polybus-reason', 'invalid')
    expect(back).toMatchObject({
      key: 'c-1',
      contentType: 'application/json',
      headers: [['polybus-reason', 'invalid']],
    })
    expect(JSON.parse(String(back.body))).toEqual({ customer: 'c-1', data: '5', paid: 'true' })
  })

  test.each(['[1]', '{}', '{"a":{"b":1}}', '{"a":null}', 'no json'])('fields refuses %s', (body) => {
    expect(() => written({ envelope: 'fields' }, { body: Buffer.from(body) })).toThrow(
      expect.objectContaining({ code: 'BROKER_REFUSED', sent: 'no' }),
    )
  })

  test('of functions says what an entry is, and one that throws leaves its error', () => {
    const envelope: RedisEnvelope = {
      id: ({ headers }) => String(headers['x-id']),
      key: ({ body }) => (JSON.parse(String(body)) as { customer: string }).customer,
      type: () => {
        throw new Error('no type today')
      },
      body: ({ body }) => Buffer.from(String(body).toUpperCase()),
    }
    const back = read({ envelope }, 'x-id', '7', 'data', '{"customer":"c-1"}', 'polybus-attempt', '2')
    expect(back).toMatchObject({ id: '7', key: 'c-1', type: undefined, body: Buffer.from('{"CUSTOMER":"C-1"}') })
    expect(back.headers).toEqual([
      ['x-id', '7'],
      ['polybus-attempt', '2'],
      ['envelope-error-type', 'no type today'],
    ])
    const ours = message()
    expect(plain(fromFields(pack(toFields(ours)), 'orders', '0/1-0', { envelope }))).toEqual(plain(ours))
  })

  test('of CloudEvents in structured mode is read', () => {
    const event = { specversion: '1.0', id: 'e-1', source: 's', type: 't', partitionkey: 'k', data: { n: 1 } }
    const back = read({}, 'content-type', 'application/cloudevents+json', 'data', JSON.stringify(event))
    expect(back).toMatchObject({ id: 'e-1', key: 'k', contentType: 'application/json', body: Buffer.from('{"n":1}') })
  })
})

test('redis: a key goes where every language puts it by CRC-32', () => {
  // `zlib.crc32(b'c-42') % 8` in Python.
  expect(partitionOf('c-42', 8)).toBe(0x4bbff035 % 8)
  expect(partitionOf('anything', 1)).toBe(0)
  const counts = Array.from({ length: 8 }, () => 0)
  for (let n = 0; n < 8000; n++) counts[partitionOf(`k${n}`, 8)] = (counts[partitionOf(`k${n}`, 8)] ?? 0) + 1
  for (const count of counts) expect(count).toBeGreaterThan(800)
})

test('redis: a position is a partition and an entry, and nothing else is one', () => {
  expect(parsePosition('3/1700-1')).toEqual({ partition: 3, id: '1700-1' })
  for (const text of ['retry-0/1-0', 'dead/1-0', '1-0', 'x/1-0', '0/1', '']) expect(parsePosition(text)).toBeUndefined()
})

test('redis: all keys of a channel lie in one slot', () => {
  const plainKeys = keysOf('test', 'orders', false)
  expect([plainKeys.stream(0), plainKeys.dead('work')]).toEqual(['test:orders', '{test:orders}:work:dead'])
  const keyed = keysOf(undefined, 'orders', true)
  expect([keyed.stream(3), keyed.retry('work', 3)]).toEqual(['{orders}:3', '{orders}:work:retry:3'])
  const own = keysOf('test', 'orders', false, { stream: 'legacy{shop}:in' })
  expect([own.stream(0), own.meta]).toEqual(['legacy{shop}:in', '{shop}:orders:meta'])
})

test('redis: headers of a release come back, bytes too', () => {
  const headers = [
    ['polybus-attempt', '2'],
    ['b', Buffer.from([0, 255])],
  ] as const
  expect(unpackNote(packNote(headers))).toEqual(headers)
})
