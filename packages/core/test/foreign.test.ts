import { expect, test } from 'vitest'
import { type ForeignMessage, readForeign } from '../src/foreign.ts'
import type { WireMessage } from '../src/message.ts'
import { wire } from './fake.ts'

const document = (event: object, contentType = 'application/cloudevents+json; charset=utf-8'): WireMessage =>
  wire({
    id: 'position-1',
    source: undefined,
    type: undefined,
    contentType,
    headers: [['x', '1']],
    body: Buffer.from(JSON.stringify(event)),
  })
const never = (): ForeignMessage => {
  throw new Error('nobody asks for it')
}
const textOf = ({ body }: WireMessage): string | null => body && Buffer.from(body).toString()

test('an empty id is none: it would make one message of all that have it', () => {
  expect(readForeign(document({ specversion: '1.0', id: '', type: 't' }), 'cloudevents', never).id).toBe('position-1')
  expect(readForeign(document({}), { id: () => '' }, () => ({ headers: {}, key: null, body: Buffer.alloc(0) })).id).toBe('position-1') // prettier-ignore
})

test('a CloudEvents document becomes the message that it holds, extensions become headers', () => {
  const read = readForeign(
    document({
      specversion: '1.0',
      id: 'e-1',
      source: '/shop',
      type: 'order.placed',
      time: '2026-01-02T03:04:05Z',
      partitionkey: 'c-1',
      dataschema: 'urn:order',
      traceparent: '00-a-b-01',
      tenant: 7,
      data: { cents: 1 },
    }),
    'cloudevents',
    never,
  )
  expect(read).toMatchObject({
    id: 'e-1',
    source: '/shop',
    type: 'order.placed',
    time: Date.UTC(2026, 0, 2, 3, 4, 5),
    key: 'c-1',
    dataSchema: 'urn:order',
    contentType: 'application/json',
    headers: [
      ['x', '1'],
      ['traceparent', '00-a-b-01'],
      ['tenant', '7'],
    ],
  })
  expect(textOf(read)).toBe('{"cents":1}')
})

test.each([
  ['bytes', { data_base64: 'AAH/' }, 'application/octet-stream', Buffer.from([0, 1, 255])],
  ['a text that is no JSON', { data: 'hello' }, 'text/plain', Buffer.from('hello')],
  ['a text that is JSON', { data: 'hello' }, 'application/json', Buffer.from('"hello"')],
  ['no data', {}, 'application/json', null],
])('its data may be %s', (_, data, datacontenttype, expected) => {
  const read = readForeign(document({ specversion: '1.0', id: 'e', datacontenttype, ...data }), 'cloudevents', never)
  expect(read.body === null ? null : Buffer.from(read.body)).toEqual(expected)
  expect(read.contentType).toBe(datacontenttype)
})

test.each([
  ['another content type', document({ specversion: '1.0', id: 'e-1' }, 'application/json')],
  ['another version', document({ specversion: '0.3', id: 'e-1' })],
  ['what is no JSON', wire({ contentType: 'application/cloudevents+json', body: Buffer.from('{') })],
  ['what is no object', wire({ contentType: 'application/cloudevents+json', body: Buffer.from('7') })],
  ['a tombstone', wire({ contentType: 'application/cloudevents+json', body: null })],
])('%s stays what it is', (_, message) => {
  expect(readForeign(message, 'cloudevents', never)).toBe(message)
})

test('without an envelope nothing is read out of the message', () => {
  const message = document({ specversion: '1.0', id: 'e-1' })
  expect(readForeign(message, 'none', never)).toBe(message)
})

test('functions say what a message is; one that throws is seen in a header and costs nothing else', () => {
  const message = wire({ id: 'position-1', key: 'k', body: Buffer.from('abc') })
  const seen: ForeignMessage = { headers: { no: Buffer.from('42') }, key: null, body: Buffer.from('abc') }
  const read = readForeign(
    message,
    {
      id: ({ headers }: ForeignMessage) => Buffer.from(headers['no'] ?? []).toString(),
      type: () => {
        throw new Error('no type')
      },
      body: ({ body }: ForeignMessage) => body.subarray(1),
    },
    () => seen,
  )
  expect(read).toMatchObject({ id: '42', key: 'k', type: message.type, headers: [['envelope-error-type', 'no type']] })
  expect(textOf(read)).toBe('bc')
})
