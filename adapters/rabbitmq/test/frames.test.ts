// What is read here is what amqplib reads: its own encoders and decoder are beside it.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { ChannelModel } from 'amqplib'
import { expect, test } from 'vitest'
import { readDeliveries } from '../src/frames.ts'

const require = createRequire(import.meta.url)
const inside = (file: string): unknown => require(join(dirname(require.resolve('amqplib')), 'lib', file))
const defs = inside('defs.js') as {
  encodeMethod(id: number, channel: number, fields: object): Buffer
  encodeProperties(id: number, channel: number, size: number, fields: object): Buffer
}
const frame = inside('frame.js') as {
  makeBodyFrame(channel: number, payload: Buffer): Buffer
  parseFrame(bytes: Buffer, max: number): { readonly rest: Buffer } | false
  decodeFrame(frame: unknown): unknown
  readonly HEARTBEAT_BUF: Buffer
}
const BASIC_DELIVER = 3_932_220
const BASIC_PROPERTIES = 60
const LARGEST = 131_072

/** As amqplib reads, counted. */
function connectionOf(pieces: Buffer[], maxFrameSize: number): { recvFrame(): unknown; theirs: number } {
  const connection = {
    rest: Buffer.alloc(0) as Buffer,
    recvSinceLastCheck: false,
    maxFrameSize,
    stream: { read: () => pieces.shift() ?? null },
    theirs: 0,
    recvFrame(): unknown {
      connection.theirs++
      for (;;) {
        const found = frame.parseFrame(connection.rest, connection.maxFrameSize)
        if (found) {
          connection.rest = found.rest
          return frame.decodeFrame(found)
        }
        const piece = connection.stream.read()
        if (piece === null) return false
        connection.rest = Buffer.concat([connection.rest, piece])
      }
    },
  }
  return connection
}
interface Found {
  readonly frames: unknown[]
  readonly theirs: number
}
function read(connection: ReturnType<typeof connectionOf>): Found {
  const frames: unknown[] = []
  for (let one = connection.recvFrame(); one !== false; one = connection.recvFrame()) frames.push(one)
  return { frames, theirs: connection.theirs }
}
function all(pieces: Buffer[], maxFrameSize = LARGEST): Found {
  const connection = connectionOf(pieces, maxFrameSize)
  readDeliveries({ connection } as unknown as Pick<ChannelModel, 'connection'>)
  return read(connection)
}
const expected = (bytes: Buffer): unknown[] => read(connectionOf([bytes], LARGEST)).frames

interface Given {
  readonly channel?: number
  readonly deliver?: object
  readonly properties?: object
  readonly body?: Buffer
}
const DELIVER = {
  consumerTag: 'amq.ctag-1',
  deliveryTag: 1,
  redelivered: false,
  exchange: 'shop.orders',
  routingKey: 'a',
}
const message = ({ channel = 1, deliver, properties, body = Buffer.from('{"n":1}') }: Given): Buffer =>
  Buffer.concat([
    defs.encodeMethod(BASIC_DELIVER, channel, { ...DELIVER, ...deliver }),
    defs.encodeProperties(BASIC_PROPERTIES, channel, body.length, properties ?? {}),
    frame.makeBodyFrame(channel, body),
  ])
const PROPERTIES = {
  contentType: 'application/json',
  headers: { ce_specversion: '1.0', ce_source: 'shop', ce_time: '2026-11-30T21:00:00.000Z' },
  deliveryMode: 2,
  messageId: 'm-1',
  timestamp: 1_764_536_400,
  type: 'order.placed',
}

const SAMPLES: readonly Given[] = [
  { properties: PROPERTIES },
  { deliver: { deliveryTag: 2 ** 40 + 7, redelivered: true }, properties: { ...PROPERTIES, messageId: 'm-2' } },
  // As long as what was there before, and other.
  {
    deliver: { routingKey: 'b' },
    properties: { ...PROPERTIES, headers: { ...PROPERTIES.headers, ce_source: 'bank' } },
  },
  { properties: { ...PROPERTIES, headers: { ce_specversion: '1.0', ce_saurce: 'bank' }, type: 'order.closed' } },
  { channel: 513, properties: { ...PROPERTIES, headers: {} } },
  { properties: { messageId: 'ü'.repeat(40), type: '', headers: { é: '€', long: 'x'.repeat(60_000) } } },
  { properties: { messageId: 'é', headers: { name: 'a'.repeat(64) } } },
  { properties: { messageId: 'ab', headers: { name: 'b'.repeat(65) } } },
  { properties: { contentEncoding: 'gzip', correlationId: 'c', replyTo: 'r', expiration: '1000', priority: 3 } },
  { properties: { userId: 'guest', appId: 'a', clusterId: 'c', deliveryMode: 1 } },
  { properties: {}, body: Buffer.alloc(0) },
  {
    properties: { ...PROPERTIES, headers: Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`h${n}`, `${n}`])) },
  },
  { properties: PROPERTIES, body: Buffer.alloc(100_000, 7) },
]
/** Tables with other values than texts. */
const FOREIGN: readonly Given[] = [
  { properties: { headers: { 'x-delivery-count': 3, ok: true, part: { a: [1, 'b'] }, none: null } } },
  { properties: { ...PROPERTIES, headers: { ...PROPERTIES.headers, tries: 2 ** 40 } } },
]

test('rabbitmq: frames that bring messages are read as amqplib reads them, whatever came before', () => {
  const bytes = Buffer.concat([...SAMPLES, ...SAMPLES, ...SAMPLES.toReversed()].map(message))
  const { frames, theirs } = all([bytes])
  expect(frames).toEqual(expected(bytes))
  // A message without any property, three times.
  expect(theirs).toBe(3)
})

test('rabbitmq: frames may come in any pieces', () => {
  const few = Buffer.concat([message(SAMPLES[0] as Given), frame.HEARTBEAT_BUF, message(FOREIGN[0] as Given)])
  for (let cut = 1; cut < few.length; cut++)
    expect(all([few.subarray(0, cut), few.subarray(cut)]).frames).toEqual(expected(few))
  const bytewise = Array.from(few, (_, index) => few.subarray(index, index + 1))
  expect(all(bytewise).frames).toEqual(expected(few))
})

test('rabbitmq: what is no text, or no message, is left to amqplib', () => {
  const cancel = defs.encodeMethod(3_932_190, 1, { consumerTag: 'c', nowait: true })
  const bytes = Buffer.concat([cancel, ...FOREIGN.map(message), frame.HEARTBEAT_BUF, message(SAMPLES[0] as Given)])
  const { frames, theirs } = all([bytes])
  expect(frames).toEqual(expected(bytes))
  expect(theirs).toBe(4)
})

test('rabbitmq: what is wrong amqplib refuses, as it would have', () => {
  const good = message(SAMPLES[0] as Given)
  const [deliver] = [defs.encodeMethod(BASIC_DELIVER, 1, DELIVER)]
  const unended = Buffer.from(good)
  unended[deliver.length - 1] = 0
  expect(() => all([unended])).toThrow('Invalid frame')
  expect(() => all([good], 20)).toThrow('exceeds maxFrameSize')
  // Lengths inside that go beyond the frame.
  for (let at = 7; at < good.length; at++) {
    const broken = Buffer.from(good)
    broken[at] = 255
    const ours = outcome(() => all([broken]).frames)
    expect(ours, `byte ${at}`).toEqual(outcome(() => expected(broken)))
  }
})
const outcome = (run: () => unknown[]): unknown => {
  try {
    return run()
  } catch (error) {
    return (error as Error).name
  }
}

test('rabbitmq: an amqplib that is other inside is left alone', () => {
  const recvFrame = (): boolean => false
  for (const connection of [{}, { recvFrame }, { recvFrame, rest: Buffer.alloc(0), maxFrameSize: 0 }]) {
    const before = { ...connection }
    readDeliveries({ connection } as unknown as Pick<ChannelModel, 'connection'>)
    expect(connection).toEqual(before)
  }
})
