import { describe, expect, test } from 'vitest'
import type { Envelope, HeaderValue, WireMessage } from '@polybus/core'
import { wireMessage } from '@polybus/testkit'
import type { KafkaRecord, NewRecord } from '../src/client.ts'
import { keyBytes, keyText } from '../src/keys.ts'
import { copyOf, fromNative, parsePosition, positionOf, size, sizeOf, toNative } from '../src/mapping.ts'

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
const PLACE = { topic: 'shop.orders', partition: 3, offset: 17n, timestamp: Date.UTC(2026, 5, 1), bytes: 0, raw: {} }
const WRITTEN = new Date(PLACE.timestamp)
/** As it is read: the wire knows bytes alone. */
const recordOf = (native: NewRecord): KafkaRecord => ({
  ...PLACE,
  ...native,
  headers: native.headers.map(([name, value]) => [name, Buffer.from(value)] as const),
  timestamp: PLACE.timestamp,
})
const layout = (envelope?: Envelope) => ({ options: { envelope } })
const CE = layout()
const back = (one: WireMessage, shape = CE): WireMessage => fromNative(recordOf(toNative(one, shape)), shape)
const plain = (one: WireMessage): unknown => ({ ...one, body: one.body && Buffer.from(one.body).toString('latin1') })
const text = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString()
const foreign = (
  headers: readonly (readonly [string, HeaderValue])[],
  value: string | null = 'hello',
  key: string | Buffer | null = null,
): KafkaRecord => ({
  ...PLACE,
  key: key === null ? null : Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  headers: headers.map(([name, each]) => [name, Buffer.from(each)] as const),
})

describe('kafka: a record of ours', () => {
  test('is CloudEvents in binary mode: the key is the key, the value the body, attributes are headers, then come headers', () => {
    const { key, value, headers } = toNative(
      message({
        headers: [
          ['trace', 'abc'],
          ['trace', ''],
        ],
      }),
      CE,
    )
    expect([key, value].map((bytes) => bytes && text(bytes))).toEqual(['c-42', '{"cents":1}'])
    expect(headers.map(([name, bytes]) => `${name}=${text(bytes)}`).join(' ')).toBe(
      'ce_specversion=1.0 ce_id=m-1 ce_source=shop ce_type=orders content-type=application/json ' +
        'ce_time=2026-01-02T03:04:05.006Z trace=abc trace=',
    )
  })

  test.each([
    ['all attributes', message({ dataSchema: 'urn:1', correlationId: 'c', causationId: 'b' })],
    ['a tombstone', message({ body: null })],
    ['an empty body', message({ body: Buffer.alloc(0) })],
    ['an empty key', message({ key: '' })],
    ['bytes that are no text', message({ body: Buffer.from([0, 255, 128]) })],
    ['nothing but an id', message({ source: undefined, type: undefined, time: undefined, key: undefined })],
    [
      'headers that repeat, are empty or binary',
      message({
        headers: [
          ['a', '1'],
          ['a', ''],
          ['b', Buffer.from([255])],
          ['__proto__', 'x'],
        ],
      }),
    ],
    [
      'headers of core',
      message({
        headers: [
          ['polybus-attempt', '3'],
          ['x', '1'],
        ],
      }),
    ],
    ['a header that repeats an attribute', message({ headers: [['ce_id', 'other']] })],
  ])('comes back with %s', (_, one) => {
    expect(plain(back(one))).toEqual(plain(one))
  })

  test('is counted as at least what it takes', () => {
    for (const one of [message(), message({ body: null, headers: [['né', 'ü']] }), message({ key: undefined })])
      expect(size(one)).toBe(sizeOf(toNative(one, CE)))
  })

  test('without an envelope has its body, its key, its content type and its headers, and no id', () => {
    const bare = layout('none')
    const native = toNative(message({ headers: [['trace', 'abc']] }), bare)
    expect(native.headers.map(([name, value]) => [name, text(value)])).toEqual([
      ['content-type', 'application/json'],
      ['trace', 'abc'],
    ])
    expect(fromNative(recordOf(native), bare)).toMatchObject({
      id: 'shop.orders/3/17',
      source: undefined,
      key: 'c-42',
      contentType: 'application/json',
      headers: [['trace', 'abc']],
      time: PLACE.timestamp,
    })
  })
})

describe('kafka: a foreign record', () => {
  test('is known by its place, has the time at which it was written, and its headers in order', () => {
    const read = fromNative(
      foreign([
        ['x', '1'],
        ['content-type', 'text/plain'],
        ['x', Buffer.from([255])],
      ]),
      CE,
    )
    expect(read).toMatchObject({ id: 'shop.orders/3/17', key: undefined, contentType: 'text/plain', source: undefined })
    expect(read.time).toBe(WRITTEN.getTime())
    expect(read.headers).toEqual([
      ['x', '1'],
      ['x', Buffer.from([255])],
    ])
    expect(text(read.body ?? Buffer.alloc(0))).toBe('hello')
  })

  test('with an empty id is known by its place: it would make one message of all that have it', () => {
    const headers = [['ce_specversion', '1.0'], ['ce_id', ''], ['ce_source', 'erp']] as const // prettier-ignore
    expect(fromNative(foreign(headers), CE)).toMatchObject({ id: 'shop.orders/3/17', source: 'erp' })
  })

  test('with attributes of CloudEvents keeps them; extensions and what is no attribute stay headers', () => {
    const read = fromNative(
      foreign([
        ['ce_id', 'e-1'],
        ['ce_time', 'never'],
        ['ce_traceparent', '00-x'],
        ['ce_type', Buffer.from([255])],
      ]),
      CE,
    )
    expect([read.id, read.time, read.type]).toEqual(['e-1', PLACE.timestamp, undefined])
    expect(read.headers).toEqual([
      ['ce_traceparent', '00-x'],
      ['ce_type', Buffer.from([255])],
    ])
  })

  test('in structured mode is read from its document', () => {
    const event = {
      specversion: '1.0',
      id: 'e-1',
      source: '/erp',
      type: 'made',
      time: '2026-02-03T00:00:00Z',
      partitionkey: 'k',
      data: { cents: 5 },
    }
    const structured = (body: unknown): WireMessage =>
      fromNative(foreign([['content-type', 'application/cloudevents+json; charset=utf-8']], JSON.stringify(body)), CE)
    const read = structured(event)
    expect(read).toMatchObject({ id: 'e-1', source: '/erp', type: 'made', key: 'k', contentType: 'application/json' })
    expect([text(read.body ?? Buffer.alloc(0)), read.time]).toEqual(['{"cents":5}', Date.UTC(2026, 1, 3)])
    const { data, ...rest } = event
    expect(data).toBeDefined()
    expect(structured(rest).body).toBeNull()
    expect(structured({ ...rest, data_base64: '/wA=' }).body).toEqual(Buffer.from([255, 0]))
    expect(text(structured({ ...rest, datacontenttype: 'text/plain', data: 'hi' }).body ?? Buffer.alloc(0))).toBe('hi')
  })

  test('that says that it is structured and is not stays as it is', () => {
    const read = fromNative(foreign([['content-type', 'application/cloudevents+json']], '{"broken'), CE)
    expect(read).toMatchObject({ contentType: 'application/cloudevents+json', id: 'shop.orders/3/17' })
    expect(text(read.body ?? Buffer.alloc(0))).toBe('{"broken')
  })

  test('is read by functions, where the channel has some; ours beside it is not', () => {
    const functions = layout({
      id: ({ headers }) => headers['x-msg-id'] && text(headers['x-msg-id']),
      key: ({ body }) => (JSON.parse(text(body)) as { customer: string }).customer,
      type: () => 'erp.order',
      body: ({ body }) => Buffer.from(text(body).toUpperCase()),
    })
    const read = fromNative(foreign([['x-msg-id', 'E-1']], '{"customer":"c-1"}', 'other'), functions)
    expect(read).toMatchObject({ id: 'E-1', key: 'c-1', type: 'erp.order' })
    expect(text(read.body ?? Buffer.alloc(0))).toBe('{"CUSTOMER":"C-1"}')
    const one = message()
    expect(plain(back(one, functions))).toEqual(plain(one))
  })

  test('that a function fails on is read without it', () => {
    const broken = layout({
      id: () => {
        throw new TypeError('no')
      },
      key: ({ body }) => (JSON.parse(text(body)) as { customer: string }).customer,
    })
    const read = fromNative(foreign([], 'no json', 'k'), broken)
    expect([read.id, read.key]).toEqual(['shop.orders/3/17', 'k'])
    expect(read.headers.map(([name]) => name)).toEqual(['envelope-error-id', 'envelope-error-key'])
  })

  test('that is a tombstone stays one, whatever a function makes of a body', () => {
    const made = layout({ body: () => Buffer.from('made up') })
    expect(fromNative(foreign([], null), made).body).toBeNull()
    expect(text(fromNative(foreign([], 'x'), made).body ?? Buffer.alloc(0))).toBe('made up')
  })

  test('without an envelope keeps what looks like CloudEvents as headers', () => {
    const read = fromNative(
      foreign([
        ['ce_specversion', '1.0'],
        ['ce_id', 'e-1'],
      ]),
      layout('none'),
    )
    expect([read.id, read.headers.length]).toEqual(['shop.orders/3/17', 2])
  })

  test('is copied byte for byte, with exactly the headers of core that are given', () => {
    const record = foreign(
      [
        ['polybus-attempt', '1'],
        ['x', Buffer.from([255])],
        ['polybus-id', 'old'],
      ],
      null,
      Buffer.from([0xff, 0x00]),
    )
    const copy = copyOf(record, [['polybus-attempt', '2']])
    expect([copy.key, copy.value]).toEqual([Buffer.from([0xff, 0x00]), null])
    expect(copy.headers).toEqual([
      ['x', Buffer.from([255])],
      ['polybus-attempt', '2'],
    ])
    expect('timestamp' in copy).toBe(false)
  })
})

describe('kafka: a key', () => {
  test.each([
    ['text', Buffer.from('c-42')],
    ['nothing', Buffer.alloc(0)],
    ['any text', Buffer.from('zürich 🚆')],
    ['bytes that are no text', Buffer.from([0xff, 0x00, 0xc3, 0x28, 0xf0, 0x9f])],
    ['text between bytes', Buffer.concat([Buffer.from([0x80]), Buffer.from('🚆x'), Buffer.from([0xe2, 0x82])])],
    ['every byte', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
  ])('of %s comes back', (_, bytes) => {
    expect(keyBytes(keyText(bytes))).toEqual(bytes)
  })

  test('two that differ stay two', () => {
    expect(keyText(Buffer.from([0xff]))).not.toBe(keyText(Buffer.from([0xfe])))
    expect(keyText(Buffer.from([0xff]))).not.toBe(keyText(Buffer.from('\u{fffd}')))
  })
})

test('kafka: a position is a topic, a partition and an offset, and nothing else is one', () => {
  const place = { topic: 'shop.orders', partition: 3, offset: 2n ** 60n }
  expect(parsePosition(positionOf(place))).toEqual(place)
  for (const wrong of ['orders/1', '3/17', 'a/b/c', 'orders/1/-1', 'orders/1/2/3', '', 'o rders/1/2'])
    expect(parsePosition(wrong)).toBeUndefined()
})
