// How messages of other programs are read, and how ours look to them: pure functions first, then the server.
import type { MessageProperties } from 'amqplib'
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, fixed, trust, type WireMessage } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { bareOf, fromNative, type Native, toNative } from '../src/mapping.ts'
import type { RabbitmqEnvelope } from '../src/options.ts'
import { bench, until, wire as plainWire } from './support.ts'

vi.setConfig({ testTimeout: 30_000 })

const wire = (more: Partial<WireMessage> = {}): WireMessage =>
  plainWire({ id: 'm-1', type: 'placed', key: 'k-1', ...more })
/** As it would be received. */
const received = ({ content, options }: Native): { content: Buffer; properties: MessageProperties } => ({
  content,
  properties: { ...options } as unknown as MessageProperties,
})
const foreign = (
  headers: object,
  body: string,
  more: object = {},
): { content: Buffer; properties: MessageProperties } => ({
  content: Buffer.from(body),
  properties: { headers, messageId: 'f-1', ...more } as unknown as MessageProperties,
})

test('rabbitmq mapping: without an envelope nothing of ours goes along, and ce_ headers are headers like others', () => {
  const { options } = bareOf(toNative(wire({ headers: [['trace', 'abc']] })))
  expect(options).toMatchObject({ messageId: 'm-1', type: 'placed', contentType: 'application/json' })
  expect(options.headers).toEqual({ trace: 'abc' })
  const message = fromNative(foreign({ ce_id: 'c-1', ce_partitionkey: 'k', x: '1' }, '{}'), { envelope: 'none' })
  expect([message.id, message.key]).toEqual([undefined, undefined])
  expect(message.headers).toEqual([
    ['ce_id', 'c-1'],
    ['ce_partitionkey', 'k'],
    ['x', '1'],
  ])
  // What was written anew for a replay keeps what it is.
  expect(fromNative(received(toNative(wire())), { envelope: 'none' })).toEqual(wire())
})

test('rabbitmq mapping: what a function does to the headers it is given does not reach the message, nor another', () => {
  const envelope: RabbitmqEnvelope = {
    id: ({ properties }) => {
      const headers = properties.headers as Record<string, unknown>
      const id = String(headers['x-id'])
      delete headers['x-id']
      return id
    },
  }
  const shared = foreign({ 'x-id': 'a' }, '{}')
  for (let again = 0; again < 2; again++)
    expect(fromNative(shared, { envelope })).toMatchObject({ id: 'a', headers: [['x-id', 'a']] })
})

test('rabbitmq mapping: functions say what a foreign message is, and one that throws leaves its error', () => {
  const envelope: RabbitmqEnvelope = {
    id: ({ headers }) => String(Buffer.from(headers['x-id'] ?? [])),
    key: ({ body }) => (JSON.parse(String(body)) as { customer: string }).customer,
    type: ({ properties }) => `${String(properties.type)}-foreign`,
    body: () => {
      throw new Error('no body today')
    },
  }
  const message = fromNative(foreign({ 'x-id': 7 }, '{"customer":"c-1"}', { type: 'placed' }), { envelope })
  expect(message).toMatchObject({ id: '7', key: 'c-1', type: 'placed-foreign' })
  expect(String(message.body)).toBe('{"customer":"c-1"}')
  expect(message.headers).toEqual([
    ['x-id', '7'],
    ['envelope-error-body', 'no body today'],
  ])
  expect(fromNative(received(toNative(wire())), { envelope })).toEqual(wire())
})

test('rabbitmq mapping: CloudEvents in structured mode are read', () => {
  const event = {
    specversion: '1.0',
    id: 'e-1',
    source: 's',
    type: 't',
    partitionkey: 'k',
    time: '2025-01-01T00:00:00Z',
  }
  const contentType = 'application/cloudevents+json; charset=utf-8'
  const read = (more: object): WireMessage =>
    fromNative(foreign({}, JSON.stringify({ ...event, ...more }), { contentType }))
  expect(read({ data: { n: 1 } })).toMatchObject({
    id: 'e-1',
    source: 's',
    type: 't',
    key: 'k',
    time: Date.UTC(2025, 0, 1),
    contentType: 'application/json',
    body: Buffer.from('{"n":1}'),
  })
  expect(read({ data_base64: 'AAE=', datacontenttype: 'image/x' })).toMatchObject({
    body: Buffer.of(0, 1),
    contentType: 'image/x',
  })
  expect(read({ data: '<a/>', datacontenttype: 'text/xml' }).body).toEqual(Buffer.from('<a/>'))
  expect(read({}).body).toBe(null)
  expect(read({ specversion: '2.0', data: 1 })).toMatchObject({ id: undefined, contentType })
  expect(fromNative(foreign({}, 'no json', { contentType })).body).toEqual(Buffer.from('no json'))
})

await describeBroker(
  'rabbitmq',
  (broker) => {
    test('rabbitmq: without an envelope messages go as other programs write them, and come back through retries and a replay', async () => {
      const { open, namespace, client } = bench(broker())
      const options = { envelope: 'none', trustMessageId: true } as const
      const bus = await createBus(open({ channels: { orders: options, keyed: options } }), { namespace, logger: false })
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work', 'other'] })
      const seen: unknown[] = []
      await bus.start(
        consumer(orders, 'work', {
          retry: { attempts: 2, backoff: fixed('1s'), wait: 'released' },
          handler({ n }, { attempt, message: { id, headers } }) {
            seen.push([id, n, attempt, headers['trace']])
            if (seen.length < 3) throw new Error('not yet')
          },
        }),
      )
      await bus.publish(orders, { n: 1 }, { id: 'o-1', headers: { trace: 'abc' } })
      const plain = await client()
      const message = await plain.get(`${namespace}.orders.other`, { noAck: true })
      // The server counts in x- headers.
      const names = Object.keys((message && message.properties.headers) || {}).filter((name) => !name.startsWith('x-'))
      expect(names).toEqual(['trace'])
      expect(message && message.properties).toMatchObject({ messageId: 'o-1', contentType: 'application/json' })
      await until(async () => (await bus.stats(orders, 'work')).deadLetters === 1, 'the dead letter')
      expect(await bus.deadLetters(orders, 'work').replay({ ids: ['o-1'] })).toEqual({ done: 1, failed: 0 })
      await until(() => seen.length === 3, 'the replay')
      expect(seen).toEqual([
        ['o-1', 1, 1, 'abc'],
        ['o-1', 1, 2, 'abc'],
        ['o-1', 1, 1, 'abc'],
      ])
      const keyed = channel('keyed', { schema: trust<{ n: number }>(), key: () => 'k', groups: ['work'] })
      await expect(bus.start(consumer(keyed, 'work', () => {}))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      await bus.close()
    })
  },
  { instance: 'rabbitmq-foreign' },
)
