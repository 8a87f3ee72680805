import { expect, test } from 'vitest'
import type { ChannelSpec } from '@polybus/core'
import { differences } from '../src/config.ts'
import { channelEntity, groupEntities, layoutOf } from '../src/layout.ts'
import { createOffsets } from '../src/offsets.ts'
import { checkOptions, type KafkaChannelOptions, type KafkaOptions } from '../src/options.ts'

const spec: ChannelSpec = {
  name: 'orders',
  keyed: true,
  partitions: undefined,
  groups: ['email'],
  maxBytes: 256 * 1024,
}
const settingsOf = (orders: KafkaChannelOptions = {}, more: KafkaOptions = {}) =>
  checkOptions({ ...more, channels: { orders } })
const layout = (orders?: KafkaChannelOptions, namespace: string | undefined = 'shop') =>
  layoutOf(settingsOf(orders), namespace, spec)
const here = { partitions: 8, maxBytes: 1_048_588 }

test('kafka: names of a channel and a group', () => {
  const { topic, group, rungs, rung, dead, removed, topics, ofGroup } = layout()
  expect([topic, group('email'), dead('email'), removed('email')]).toEqual([
    'shop.orders',
    'shop.orders.email',
    'shop.orders.email.dlq',
    'shop.orders.email.dlq.done',
  ])
  expect(rungs('email')).toEqual(['1s', '10s', '1m', '10m'].map((delay) => `shop.orders.email.retry.${delay}`))
  expect(rung('email', 60_000)).toBe('shop.orders.email.retry.1m')
  expect(topics('email')).toEqual([topic, ...rungs('email')])
  expect(ofGroup('email')).toEqual([...rungs('email'), dead('email'), removed('email')])
  expect(layoutOf(settingsOf(), undefined, spec).topic).toBe('orders')
})

test('kafka: foreign names stand for the topic, the group and the dead letters; retries stay ours', () => {
  const { topic, group, dead, removed, topics } = layout({
    topic: 'erp.orders.v2',
    groups: { email: { groupId: 'email-service', deadLetter: 'erp.orders.v2.DLT' } },
  })
  expect([topic, group('email'), dead('email'), removed('email')]).toEqual([
    'erp.orders.v2',
    'email-service',
    'erp.orders.v2.DLT',
    'erp.orders.v2.DLT.done',
  ])
  expect(topics('email')[1]).toBe('shop.orders.email.retry.1s')
  expect(group('audit')).toBe('shop.orders.audit')
})

test('kafka: a name that comes out too long is refused, and its option named', () => {
  const deadLetter = 'd'.repeat(246)
  const own = layout({ groups: { email: { deadLetter } } })
  expect(() => own.removed('email')).toThrow(/kafka\(\)\.channels\.orders\.groups\.email\.deadLetter: .*249/)
  const long = 'a'.repeat(32)
  const longest = layoutOf(settingsOf(), long, { ...spec, name: long, groups: [long] })
  for (const name of [longest.topic, ...longest.ofGroup(long)]) expect(name.length).toBeLessThan(250)
})

test('kafka: copies are kept longer than messages, and are as safe and a little larger', () => {
  const orders = { config: { 'min.insync.replicas': '2', 'retention.ms': '3600000', 'cleanup.policy': 'compact' } }
  const one = layout(orders)
  expect(channelEntity(one, settingsOf(orders))).toEqual({
    topic: 'shop.orders',
    partitions: 8,
    config: orders.config,
  })
  const [first, , , last, dead, removed] = groupEntities(one, settingsOf(orders), 'email', here)
  expect([first?.partitions, dead?.partitions]).toEqual([8, 1])
  expect(first?.config).toEqual({
    'cleanup.policy': 'delete',
    'max.message.bytes': String(8 * 2 ** 20),
    'min.insync.replicas': '2',
    'retention.ms': String(14 * 86_400_000),
    'retention.bytes': '-1',
  })
  expect(last?.config).toEqual(first?.config)
  expect(dead?.config).toMatchObject({ 'retention.ms': '-1', 'min.insync.replicas': '2', 'cleanup.policy': 'delete' })
  expect(removed?.config).toMatchObject({ 'retention.ms': '-1' })
  const large = groupEntities(one, settingsOf(), 'email', { partitions: 1, maxBytes: 10_000_000 })
  expect(large[4]?.config['max.message.bytes']).toBe(String(10_000_000 + 65_536))
  const forEver = groupEntities(layout(), settingsOf({}, { retentionMs: -1 }), 'email', here)
  expect(forEver[0]?.config).toMatchObject({ 'retention.ms': '-1' })
})

test('kafka: settings that differ are told one by one, and only those', () => {
  const entry = (name: string, value: string) => [name, { name, value }] as const
  const has = new Map([
    entry('retention.ms', '604800000'),
    entry('cleanup.policy', 'delete,compact'),
    entry('min.cleanable.dirty.ratio', '0.50'),
  ])
  const wanted = {
    'retention.ms': '86400000',
    'cleanup.policy': 'compact, delete',
    'min.cleanable.dirty.ratio': '.5',
    'retention.days': '1',
  }
  expect(differences('orders', wanted, has)).toEqual([
    "the topic 'orders' has retention.ms '604800000', not '86400000'",
    "the topic 'orders' has no setting 'retention.days'",
  ])
})

test('kafka: a set of offsets is the same as one offset by one', () => {
  const offsets = createOffsets()
  const all = new Set<bigint>()
  let seed = 7
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below
  for (let n = 0; n < 300; n++) {
    const from = BigInt(random(500))
    const to = from + BigInt(random(4))
    offsets.add([from, to])
    for (let offset = from; offset <= to; offset++) all.add(offset)
    const [begin, end] = [BigInt(random(500)), BigInt(random(500))]
    const counted = [...all].filter((offset) => offset >= begin && offset < end).length
    expect(offsets.count(begin, end)).toBe(BigInt(counted))
  }
  for (let offset = 0n; offset < 510n; offset++) expect(offsets.has(offset)).toBe(all.has(offset))
  const ranges = offsets.ranges()
  expect(ranges.every(([from], index) => index === 0 || from > (ranges[index - 1]?.[1] ?? 0n) + 1n)).toBe(true)
})
