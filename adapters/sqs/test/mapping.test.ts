// Wire and native forms: pure functions, no broker.
import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs'
import type { Headers, WireMessage } from '@polybus/core'
import { wireMessage } from '@polybus/testkit'
import { expect, test } from 'vitest'
import { ageOf, bytesOf, type Content, copyOf, fromMessage, size, toEntry } from '../src/mapping.ts'
import type { SqsChannelOptions } from '../src/options.ts'
import { pack, unpack } from '../src/packed.ts'

const wire = (more: Partial<WireMessage> = {}): WireMessage =>
  wireMessage({
    id: 'm-1',
    source: 'shop',
    type: 'placed',
    time: 1_700_000_000_123,
    key: 'k-1',
    dataSchema: 'urn:s',
    correlationId: 'c-1',
    causationId: 'c-0',
    ...more,
  })
/** As it would be received. */
const received = (content: Content, more: Partial<Message> = {}): Message => ({
  MessageId: 'native-1',
  Body: content.MessageBody,
  MessageAttributes: { ...content.MessageAttributes },
  ...more,
})
const around = (message: WireMessage): WireMessage => fromMessage(received(toEntry(message)))
const text = (value: string, type = 'String'): MessageAttributeValue => ({ DataType: type, StringValue: value })
const shown = ({ MessageAttributes }: Content): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(MessageAttributes).map(([name, { StringValue }]) => [name, StringValue]))
/** A message of another program. */
const foreign = (more: Partial<Message> = {}): Message => ({ MessageId: 'f-1', Body: '{"n":1}', ...more })

test('sqs mapping: a message comes back as it was', () => {
  const message = wire({ headers: [['a', '1']] })
  expect(around(message)).toEqual(message)
  const bare = wire({
    time: undefined,
    key: undefined,
    contentType: undefined,
    correlationId: undefined,
    causationId: undefined,
    dataSchema: undefined,
    source: undefined,
  })
  expect(around(bare)).toEqual(bare)
})

test('sqs mapping: this is what lies in the queue, for ever', () => {
  expect(toEntry(wire({ headers: [['trace', 'abc']] }))).toEqual({
    MessageBody: '{}',
    MessageAttributes: {
      ce_specversion: text('1.0'),
      ce_id: text('m-1'),
      ce_source: text('shop'),
      ce_type: text('placed'),
      ce_time: text('2023-11-14T22:13:20.123Z'),
      ce_partitionkey: text('k-1'),
      ce_dataschema: text('urn:s'),
      'content-type': text('application/json'),
      polybus: text('{"own":1,"attributes":{"correlationId":"c-1","causationId":"c-0"},"headers":[["trace","abc"]]}'),
    },
  })
  expect(shown(toEntry(wire({ body: Buffer.from([0, 255]), headers: [['b', Uint8Array.of(1, 2)]] })))).toMatchObject({
    polybus:
      '{"own":1,"body":"base64","attributes":{"correlationId":"c-1","causationId":"c-0"},"headers":[["b","AQI=",1]]}',
  })
})

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte)
test.each([
  ['text', Buffer.from('grüße 🐇\t\r\n'), 'grüße 🐇\t\r\n'],
  ['bytes', EVERY_BYTE, Buffer.from(EVERY_BYTE).toString('base64')],
  ['bytes that are no UTF-8', Buffer.from([0xc3, 0x28]), 'wyg='],
  ['a control character', Buffer.from('a\u0001'), 'YQE='],
  ['U+FFFE', Buffer.from('\uFFFE'), '77++'],
  ['a body that is empty', Buffer.alloc(0), '-'],
  ['no body', null, '-'],
  ['a body that looks like none', Buffer.from('-'), '-'],
])('sqs mapping: the body is %s', (_, body, native) => {
  const entry = toEntry(wire({ body }))
  expect(entry.MessageBody).toBe(native)
  expect(around(wire({ body })).body).toEqual(body === null ? null : Buffer.from(body))
})

test('sqs mapping: headers keep order, repetition, emptiness and bytes', () => {
  const headers: Headers = [
    ['b', 'first'],
    ['a', ''],
    ['b', Buffer.from([0, 255])],
    ['', 'no name'],
    ['__proto__', 'x'],
    ['ключ', 'значение\u0000\uFFFE\uFFFF\uD800'],
    ['polybus', 'not ours'],
    ['content-length', '5'],
  ]
  const entry = toEntry(wire({ headers }))
  expect(fromMessage(received(entry)).headers).toEqual(headers)
  expect(entry.MessageAttributes['polybus']?.StringValue).not.toMatch(/[\uFFFE\uFFFF]/)
})

test('sqs mapping: an attribute that SQS cannot carry travels all the same', () => {
  const odd = wire({ id: '', type: 'a\u0000b', source: '\uD800', key: '\uFFFF' })
  expect(around(odd)).toEqual(odd)
  expect(Object.keys(toEntry(odd).MessageAttributes)).not.toContain('ce_id')
})

test('sqs mapping: there are never more than ten attributes', () => {
  expect(Object.keys(toEntry(wire({ headers: [['a', '1']] })).MessageAttributes).length).toBeLessThanOrEqual(10)
})

test('sqs mapping: the size is that of body and attributes, names, types and values, in UTF-8', () => {
  const bare: WireMessage = {
    ...wire({ id: 'ü', source: undefined, type: undefined, time: undefined, key: undefined, body: Buffer.from('ä') }),
    contentType: undefined,
    dataSchema: undefined,
    correlationId: undefined,
    causationId: undefined,
  }
  const version = 'ce_specversion'.length + 'String'.length + '1.0'.length
  const id = 'ce_id'.length + 'String'.length + 2
  const own = 'polybus'.length + 'String'.length + '{"own":1}'.length
  expect(size(bare)).toBe(2 + version + id + own)
  const binary: Content = {
    MessageBody: '',
    MessageAttributes: { b: { DataType: 'Binary', BinaryValue: new Uint8Array(5) } },
  }
  expect(bytesOf(binary)).toBe(1 + 6 + 5)
  expect(size(wire({ body: Buffer.alloc(3000, 255) }))).toBeGreaterThan(4000)
})

test('sqs mapping: a foreign message is its body, its attributes, its MessageId and its group id', () => {
  const native = foreign({
    Attributes: { MessageGroupId: 'g-1' },
    MessageAttributes: {
      trace: text('abc'),
      tries: text('3', 'Number.int'),
      raw: { DataType: 'Binary', BinaryValue: Uint8Array.of(0, 1) },
      'Content-Type': text('application/json'),
    },
  })
  expect(fromMessage(native)).toEqual({
    id: 'f-1',
    source: undefined,
    type: undefined,
    time: undefined,
    key: 'g-1',
    headers: [
      ['trace', 'abc'],
      ['tries', '3'],
      ['raw', Buffer.from([0, 1])],
    ],
    body: Buffer.from('{"n":1}'),
    contentType: 'application/json',
    dataSchema: undefined,
    correlationId: undefined,
    causationId: undefined,
  })
})

test.each([
  ['base64', 'AAE=', Buffer.from([0, 1])],
  ['empty', '-', Buffer.alloc(0)],
  ['null', '-', null],
  ['null', 'not empty', Buffer.from('not empty')],
] as const)('sqs mapping: another program may say that its body is %s: %s', (body, Body, bytes) => {
  const native = foreign({ Body, MessageAttributes: { polybus: text(JSON.stringify({ body })) } })
  expect(fromMessage(native)).toMatchObject({ id: 'f-1', body: bytes, headers: [] })
  expect(fromMessage(received(copyOf(native, []))).body).toEqual(bytes)
})

test('sqs mapping: a message of ours without a key does not take its group id for one', () => {
  const native = received(toEntry(wire({ key: undefined })), { Attributes: { MessageGroupId: 'random' } })
  expect(fromMessage(native).key).toBeUndefined()
})

test.each([
  'nonsense',
  '[]',
  'null',
  '7',
  '{"headers":7}',
  '{"headers":[["a"]]}',
  '{"headers":[["a","b",2]]}',
  '{"headers":[["a",1]]}',
  '{"attributes":{"key":1}}',
  '{"attributes":[]}',
  '{"body":"gzip"}',
  '{"others":[["a","String"]]}',
  '{"order":"1"}',
  '{"own":true}',
])('sqs mapping: another program’s attribute polybus with %s is a header like any other', (value) => {
  const native = foreign({ MessageAttributes: { polybus: text(value) } })
  expect(fromMessage(native).headers).toEqual([['polybus', value]])
  const copy = received(copyOf(native, [['polybus-reason', 'x']]))
  expect(fromMessage(copy).headers).toEqual([
    ['polybus', value],
    ['polybus-reason', 'x'],
  ])
})

test('sqs mapping: a copy of ours is byte for byte the same, but for the headers of Polybus', () => {
  const first = toEntry(
    wire({
      body: EVERY_BYTE,
      headers: [
        ['polybus-attempt', '1'],
        ['a', '1'],
        ['a', Buffer.from([9])],
      ],
    }),
  )
  const copy = copyOf(received(first), [
    ['polybus-attempt', '2'],
    ['polybus-reason', 'boom'],
  ])
  expect(copy.MessageBody).toBe(first.MessageBody)
  const { polybus: _first, ...before } = first.MessageAttributes
  const { polybus: _copy, ...after } = copy.MessageAttributes
  expect(after).toEqual(before)
  expect(fromMessage(received(copy))).toEqual(
    wire({
      body: Buffer.from(EVERY_BYTE),
      headers: [
        ['a', '1'],
        ['a', Buffer.from([9])],
        ['polybus-attempt', '2'],
        ['polybus-reason', 'boom'],
      ],
    }),
  )
})

test('sqs mapping: a copy of a foreign message keeps its attributes, their types and its key, from copy to copy', () => {
  const native = foreign({
    Attributes: { MessageGroupId: 'g-1', AWSTraceHeader: 'Root=1-5' },
    MessageAttributes: {
      tries: text('3', 'Number.int'),
      raw: { DataType: 'Binary.png', BinaryValue: Uint8Array.of(0) },
    },
  })
  const first = copyOf(native, [['polybus-id', 'f-1']])
  expect(first.MessageBody).toBe('{"n":1}')
  expect(first.MessageAttributes).toMatchObject(native.MessageAttributes ?? {})
  expect(first.MessageSystemAttributes).toEqual({ AWSTraceHeader: text('Root=1-5') })
  const second = copyOf(received(first, { Attributes: { MessageGroupId: 'fresh' } }), [['polybus-id', 'f-1']])
  expect(second.MessageAttributes).toEqual(first.MessageAttributes)
  const read = fromMessage(received(second, { Attributes: { MessageGroupId: 'fresher' } }))
  expect(read).toMatchObject({ key: 'g-1', body: Buffer.from('{"n":1}') })
  expect(read.headers).toEqual([
    ['tries', '3'],
    ['raw', Buffer.from([0])],
    ['polybus-id', 'f-1'],
  ])
})

test('sqs mapping: where a foreign message has ten attributes, its copy holds them in ours', () => {
  const MessageAttributes = Object.fromEntries(
    Array.from({ length: 10 }, (_, n): [string, MessageAttributeValue] => [
      `a${n}`,
      n % 2 ? text(`${n}`, 'Number') : { DataType: 'Binary', BinaryValue: Uint8Array.of(n) },
    ]),
  )
  const native = foreign({ MessageAttributes })
  const copy = copyOf(native, [['polybus-reason', 'x']])
  expect(Object.keys(copy.MessageAttributes)).toEqual(['polybus'])
  const again = copyOf(received(copy), [['polybus-reason', 'y']])
  expect(fromMessage(received(again)).headers).toEqual([...fromMessage(native).headers, ['polybus-reason', 'y']])
})

test('sqs mapping: dead letters of one millisecond are told apart', () => {
  const at = (content: Content): readonly [number, number] =>
    ageOf(received(content, { Attributes: { SentTimestamp: '1700000000000' } }))
  expect(at(toEntry(wire(), undefined, 7))).toEqual([1_700_000_000_000, 7])
  expect(at(copyOf(received(toEntry(wire())), [], 8))).toEqual([1_700_000_000_000, 8])
  expect(ageOf(foreign())).toEqual([0, 0])
})

const read = (native: Message, envelope: SqsChannelOptions['envelope']): WireMessage =>
  fromMessage(native, { envelope })

test('sqs mapping: CloudEvents of other programs are read in binary mode', () => {
  const native = foreign({
    MessageAttributes: { ce_specversion: text('1.0'), ce_id: text('e-1'), ce_source: text('erp'), trace: text('t') },
  })
  expect(fromMessage(native)).toMatchObject({ id: 'e-1', source: 'erp', headers: [['trace', 't']] })
  expect(read(native, 'none')).toMatchObject({ id: 'f-1', source: undefined })
})

test('sqs mapping: without an envelope ours look as those of other programs', () => {
  const bytes = Uint8Array.of(1)
  const headers: Headers = [
    ['trace', 'abc'],
    ['raw', bytes],
    ['trace', 'again'],
    ['empty', ''],
    ['AWS.X', 'not allowed'],
    ['ключ', 'x'],
  ]
  const entry = toEntry(wire({ key: undefined, headers: headers.slice(0, 2) }), { envelope: 'none' })
  expect(entry).toEqual({
    MessageBody: '{}',
    MessageAttributes: {
      'content-type': text('application/json'),
      trace: text('abc'),
      raw: { DataType: 'Binary', BinaryValue: bytes },
    },
  })
  const message = read(received(toEntry(wire({ body: EVERY_BYTE, headers }), { envelope: 'none' })), 'none')
  expect(message).toMatchObject({ id: 'native-1', source: undefined, key: 'k-1', contentType: 'application/json' })
  expect(message.body).toEqual(Buffer.from(EVERY_BYTE))
  expect(message.headers).toEqual([['trace', 'abc'], ['raw', Buffer.from(bytes)], ...headers.slice(2)])
  const many = Array.from({ length: 30 }, (_, n): [string, string] => [`h${n}`, `${n}`])
  const full = toEntry(wire({ headers: many }), { envelope: 'none' })
  expect(Object.keys(full.MessageAttributes)).toHaveLength(10)
  expect(read(received(full), 'none').headers).toEqual(many)
})

test('sqs mapping: replays and copies keep their attributes, whatever the envelope', () => {
  const replay = wire({ headers: [['polybus-replays', '1']] })
  expect(read(received(toEntry(replay, { envelope: 'none' })), 'none')).toEqual(replay)
})

test('sqs mapping: an envelope is for messages of other programs alone', () => {
  const message = wire({ headers: [['a', '1']] })
  for (const envelope of ['none', 'sns', { id: () => 'other' }] as const)
    expect(read(received(toEntry(message)), envelope)).toEqual(message)
})

test('sqs mapping: CloudEvents of other programs are read in structured mode', () => {
  const structured = (event: object): Message =>
    foreign({
      Body: JSON.stringify({ specversion: '1.0', id: 'e-1', source: 'erp', type: 'paid', ...event }),
      MessageAttributes: { 'content-type': text('application/cloudevents+json; charset=utf-8') },
    })
  expect(fromMessage(structured({ data: { n: 1 }, partitionkey: 'k', region: 'eu' }))).toMatchObject({
    id: 'e-1',
    source: 'erp',
    type: 'paid',
    key: 'k',
    contentType: 'application/json',
    headers: [['region', 'eu']],
    body: Buffer.from('{"n":1}'),
  })
  expect(fromMessage(structured({ data: 'plain', datacontenttype: 'text/plain' })).body).toEqual(Buffer.from('plain'))
  expect(fromMessage(structured({ data: 'json' })).body).toEqual(Buffer.from('"json"'))
  expect(fromMessage(structured({ data_base64: 'AAE=' })).body).toEqual(Buffer.from([0, 1]))
  expect(fromMessage(structured({})).body).toBe(null)
  // What only says that it is one is taken as it is.
  expect(fromMessage({ ...structured({}), Body: 'no JSON' }).body).toEqual(Buffer.from('no JSON'))
})

// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
const NOTIFICATION = {
  Type: 'Notification',
  MessageId: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
  TopicArn: 'arn:aws:sns:us-west-2:123456789012:MyTopic',
  Subject: 'My First Message',
  Message: 'Hello world!',
  Timestamp: '2012-05-02T00:54:06.655Z',
  SignatureVersion: '1',
  Signature: 'EXAMPLEw6JRN...',
  SigningCertURL: 'https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem',
  UnsubscribeURL: 'https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:…',
  MessageAttributes: { kind: { Type: 'String', Value: 'a' }, raw: { Type: 'Binary', Value: 'AAE=' } },
}

test('sqs mapping: what SNS puts around a message is taken off, and its copies keep it', () => {
  const native = foreign({ Body: JSON.stringify(NOTIFICATION) })
  const message = read(native, 'sns')
  expect(message).toMatchObject({ id: NOTIFICATION.MessageId, time: Date.parse(NOTIFICATION.Timestamp) })
  expect(message.body).toEqual(Buffer.from('Hello world!'))
  expect(message.headers).toEqual([
    ['x-amz-sns-topic-arn', NOTIFICATION.TopicArn],
    ['x-amz-sns-subject', 'My First Message'],
    ['kind', 'a'],
    ['raw', Buffer.from([0, 1])],
  ])
  const copy = copyOf(native, [['polybus-reason', 'x']])
  expect(copy.MessageBody).toBe(native.Body)
  expect(read(received(copy), 'sns').body).toEqual(Buffer.from('Hello world!'))
  expect(fromMessage(native).body).toEqual(Buffer.from(native.Body ?? ''))
})

test.each(['no JSON', '{}', '{"Type":"Notification"}', '{"Type":"Notification","Message":7}', '[]', 'null'])(
  'sqs mapping: %s is no envelope of SNS, and stays as it is',
  (Body) => {
    expect(read(foreign({ Body }), 'sns')).toMatchObject({ id: 'f-1', body: Buffer.from(Body) })
  },
)

test('sqs mapping: functions read what nobody else knows, and one that throws is seen', () => {
  const native = foreign({ MessageAttributes: { customer: text('c-7') } })
  const message = read(native, {
    id: ({ body }) => `erp-${(JSON.parse(Buffer.from(body).toString()) as { n: number }).n}`,
    key: ({ headers }) => Buffer.from(headers['customer'] ?? []).toString(),
    type: () => 'ordered',
    body: ({ body }) => Buffer.concat([body, Buffer.from('!')]),
  })
  expect(message).toMatchObject({ id: 'erp-1', key: 'c-7', type: 'ordered', body: Buffer.from('{"n":1}!') })
  const broken = read(native, {
    id: () => {
      throw new TypeError('no such field')
    },
  })
  expect(broken.id).toBe('f-1')
  expect(broken.headers).toContainEqual(['envelope-error-id', 'no such field'])
})

test('sqs mapping: where there is nothing to tell there is no attribute', () => {
  expect(pack({})).toBeUndefined()
  expect(unpack(undefined)).toBeUndefined()
  expect(unpack('{}')).toEqual({})
})
