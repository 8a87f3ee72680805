// Wire and native forms: pure functions, no broker.
import type { ConsumeMessage, MessageProperties } from 'amqplib'
import type { WireMessage } from '@polybus/core'
import { wireMessage } from '@polybus/testkit'
import { expect, test } from 'vitest'
import { createAcks } from '../src/acks.ts'
import { readable } from '../src/errors.ts'
import { copyOf, countOf, fromNative, LANE, type Native, partitionOf, size, toNative, timesIn } from '../src/mapping.ts'
import { share } from '../src/members.ts'

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
const received = ({ content, options }: Native): { content: Buffer; properties: MessageProperties } => ({
  content,
  properties: { ...options } as unknown as MessageProperties,
})
const around = (message: WireMessage): WireMessage => fromNative(received(toNative(message)))

test('rabbitmq mapping: a message comes back as it was', () => {
  expect(around(wire({ headers: [['a', '1']] }))).toEqual(wire({ headers: [['a', '1']] }))
  const bare = {
    ...wire(),
    id: undefined,
    time: undefined,
    key: undefined,
    contentType: undefined,
    correlationId: undefined,
  }
  expect(around(bare)).toEqual(bare)
})

test('rabbitmq mapping: a null body is no empty body', () => {
  expect(around(wire({ body: null })).body).toBe(null)
  expect(around(wire({ body: new Uint8Array(0) })).body).toEqual(Buffer.alloc(0))
})

test('rabbitmq mapping: other clients see plain properties, headers and body', () => {
  const { content, options } = toNative(wire({ headers: [['trace', 'abc']] }))
  expect(content.toString()).toBe('{}')
  expect(options).toMatchObject({
    messageId: 'm-1',
    type: 'placed',
    contentType: 'application/json',
    correlationId: 'c-1',
    timestamp: 1_700_000_000,
    persistent: true,
    mandatory: true,
    headers: { trace: 'abc', ce_partitionkey: 'k-1', ce_source: 'shop' },
  })
})

test('rabbitmq mapping: texts that a property has no room for travel in headers', () => {
  const long = 'ü'.repeat(200)
  const message = wire({ id: long, type: long, correlationId: long, contentType: long })
  expect(toNative(message).options.messageId).toBe(undefined)
  expect(around(message)).toEqual(message)
})

test('rabbitmq mapping: names that RabbitMQ acts on or cannot hold never travel natively', () => {
  const headers: [string, string | Buffer][] = [
    ['CC', 'victim'],
    ['BCC', 'victim'],
    ['x-delivery-count', '77'],
    ['x-death', 'x'],
    ['__proto__', 'x'],
    ['', 'no name'],
    ['n'.repeat(256), 'long'],
    ['twice', '1'],
    ['twice', '2'],
    ['ce_id', Buffer.from([0, 255])],
  ]
  const { options } = toNative(wire({ headers }))
  const native = Object.keys(options.headers as object)
  expect(native.filter((name) => headers.some(([given]) => given === name && name !== 'twice'))).toEqual([])
  const back = around(wire({ headers })).headers
  expect(back).toHaveLength(headers.length)
  expect(back).toEqual(expect.arrayContaining(headers))
})

test('rabbitmq mapping: of a foreign message the id counts only where it is trusted', () => {
  const foreign = {
    content: Buffer.from('x'),
    properties: {
      messageId: 'f-1',
      headers: { n: 5, yes: true, list: [1] },
      timestamp: 5,
    } as unknown as MessageProperties,
  }
  expect(fromNative(foreign)).toMatchObject({ id: undefined, time: 5000 })
  expect(fromNative(foreign, { trustMessageId: true }).id).toBe('f-1')
  expect(fromNative(foreign).headers).toEqual([
    ['n', '5'],
    ['yes', 'true'],
    ['list', '[1]'],
  ])
})

test('rabbitmq mapping: a copy keeps the original, and leaves behind what would delete it, refuse it or send it elsewhere', () => {
  const original = {
    content: Buffer.from([0, 255]),
    properties: {
      messageId: 'f-1',
      contentEncoding: 'gzip',
      expiration: '10',
      userId: 'somebody',
      headers: { CC: ['victim'], 'x-delivery-count': 77, n: 5, 'polybus-attempt': '1' },
    } as unknown as MessageProperties,
  }
  const { content, options } = copyOf(original, [['polybus-reason', 'x']], 3)
  expect(content).toBe(original.content)
  expect(options).toEqual({
    messageId: 'f-1',
    contentEncoding: 'gzip',
    persistent: true,
    mandatory: true,
    headers: { n: 5, 'polybus-reason': 'x', [LANE]: '3' },
  })
})

test('rabbitmq mapping: a copy keeps headers that travel in ours, and a null body', () => {
  const message = wire({
    body: null,
    headers: [
      ['twice', '1'],
      ['twice', '2'],
      ['polybus-attempt', '1'],
    ],
  })
  const copied = fromNative(received(copyOf(received(toNative(message)), [['polybus-attempt', '2']])))
  expect(copied).toEqual({
    ...message,
    headers: [
      ['twice', '1'],
      ['polybus-attempt', '2'],
      ['twice', '2'],
    ],
  })
})

test('rabbitmq mapping: a count that a publisher wrote is not believed', () => {
  const message = (redelivered: boolean, count?: number): ConsumeMessage =>
    ({
      content: Buffer.alloc(0),
      fields: { redelivered },
      properties: { headers: count === undefined ? {} : { 'x-delivery-count': count } },
    }) as unknown as ConsumeMessage
  expect(countOf(message(false, 77))).toBe(1)
  expect(countOf(message(true, 1))).toBe(2)
  expect(countOf(message(true))).toBe(2)
})

test('rabbitmq mapping: partitions are CRC-32, as every language has it', () => {
  expect(partitionOf('123456789', 1000)).toBe(0xcbf43926 % 1000)
  expect(partitionOf('anything', 1)).toBe(0)
  expect(partitionOf(undefined, 8)).toBe(0)
})

test('rabbitmq mapping: size counts text in bytes', () => {
  const base = size(wire({ body: Buffer.alloc(0) }))
  expect(size(wire({ body: Buffer.alloc(1000) }))).toBe(base + 1000)
  expect(size(wire({ body: Buffer.alloc(0), headers: [['n', 'é']] }))).toBeGreaterThanOrEqual(base + 3)
})

test('rabbitmq acks: few frames, and never for a message that is not finished', () => {
  const acks = createAcks()
  expect(acks.take()).toEqual([])
  for (const tag of [1, 2, 3, 5]) acks.finish(tag)
  expect(acks.take()).toEqual([
    { tag: 3, upTo: true },
    { tag: 5, upTo: false },
  ])
  acks.finish(4)
  expect(acks.take()).toEqual([{ tag: 4, upTo: false }])
  acks.finish(7)
  acks.gone(6)
  expect(acks.take()).toEqual([{ tag: 7, upTo: false }])
  acks.gone(8)
  expect(acks.take()).toEqual([])
})

test('rabbitmq lanes: within one of evenly, and a newcomer moves no more than it gets', () => {
  const counts = (names: readonly string[], lanes: number): number[] =>
    [...share(names, lanes).values()].map(({ length }) => length)
  expect(counts(['a'], 8)).toEqual([8])
  for (const members of [2, 3, 4, 5, 8, 11]) {
    const names = Array.from({ length: members }, (_, n) => `m${String(n).padStart(2, '0')}`)
    const all = counts(names, 8)
    expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(1)
    expect([...share(names, 8).values()].flat().toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    const before = share(names.slice(0, -1), 8)
    for (const [name, lanes] of share(names, 8)) {
      if (before.has(name)) expect(before.get(name)).toEqual(expect.arrayContaining([...lanes]))
    }
  }
})

test('rabbitmq errors: a 406 says which argument differs, and how', () => {
  const text =
    `Operation failed: QueueDeclare; 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - inequivalent arg ` +
    `'x-max-length' for queue 'q' in vhost '/': received the value '5' of type 'signedint' but current is none"`
  expect(readable(text)).toBe("the queue 'q' has x-max-length unset, not '5'")
})

test('rabbitmq: a time that no Date can hold is none, and the message can be sent again', () => {
  const at = (timestamp: number): number | undefined =>
    fromNative({ content: Buffer.from('x'), properties: { headers: {}, timestamp } as unknown as MessageProperties })
      .time
  expect([at(8.64e12), at(8.9e12), at(2 ** 63), at(-1)]).toEqual([8.64e15, undefined, undefined, -1000])
  expect(() => toNative(wire({ time: at(8.64e12) }))).not.toThrow()
})

test('rabbitmq: times are read one after the other, each as it is', () => {
  const timeIn = timesIn()
  const texts = ['2026-01-01T00:00:00.001Z', '2026-01-01T00:00:00.001Z', 'never', 'never', '2026-01-01T00:00:00.002Z']
  expect(texts.map(timeIn)).toEqual([1_767_225_600_001, 1_767_225_600_001, NaN, NaN, 1_767_225_600_002])
})
