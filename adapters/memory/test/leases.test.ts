import { expect, test } from 'vitest'
import * as at from './support.ts'

const { call, codes, ids, keyed, manualClock, member, message, open, receive, send, settle, shared } = at
const timed = async (spec = shared(), leaseMs: number | null = 1000) => {
  const time = manualClock()
  const adapter = await open(spec, { clock: time.clock, leaseMs })
  return { time, adapter, consumer: await member(adapter, spec) }
}
const tokens = (deliveries: readonly { token: unknown }[]) => deliveries.map(({ token }) => token)

test('memory: a lease that runs out is told once, and its message delivered again, counted', async () => {
  const { time, adapter, consumer } = await timed()
  await send(adapter, message('1'), message('2'))
  const [one, two] = await receive(consumer)
  await settle(consumer, [two!])
  time.advance(999)
  expect(consumer.lost).toEqual([])
  time.advance(1)
  expect(consumer.lost).toEqual([one])
  expect(codes(await settle(consumer, [one!]))).toEqual(['LEASE_LOST'])
  const again = await receive(consumer)
  expect(again).toMatchObject([{ message: { id: '1' }, count: 2 }])
  expect(codes(await settle(consumer, again))).toEqual(['ok'])
  time.advance(100_000)
  expect(consumer.lost).toHaveLength(1)
})

test('memory: an extension is one more lease from now, and says so; a lost delivery cannot be extended', async () => {
  const { time, adapter, consumer } = await timed()
  await send(adapter, message('1'), message('2'))
  const [one, two] = await receive(consumer)
  time.advance(900)
  expect(await consumer.feed.extend?.(tokens([one!]), call())).toEqual([{ ok: true, value: 1000 }])
  time.advance(999)
  expect(consumer.lost).toEqual([two])
  expect(codes((await consumer.feed.extend?.(tokens([one!, two!]), call())) ?? [])).toEqual(['ok', 'LEASE_LOST'])
  time.advance(999)
  expect(consumer.lost).toEqual([two])
  time.advance(1)
  expect(consumer.lost).toEqual([two, one])
})

test('memory: leases taken later run out later', async () => {
  const { time, adapter, consumer } = await timed()
  await send(adapter, message('1'), message('2'))
  await receive(consumer, 1)
  time.advance(600)
  await receive(consumer, 1)
  time.advance(400)
  expect(ids(consumer.lost)).toEqual(['1'])
  time.advance(600)
  expect(ids(consumer.lost)).toEqual(['1', '2'])
})

test('memory: where one delivery of an ordered lane is lost, the later ones are lost with it, and come again in order', async () => {
  const { adapter, consumer } = await timed(keyed(['g'], 1))
  await send(adapter, ...['1', '2', '3', '4'].map((id) => message(id, { key: 'k' })))
  const out = await receive(consumer)
  await settle(consumer, out.slice(2, 3))
  expect(adapter.faults.loseLease((delivery) => delivery.message.id === '2')).toBe(1)
  expect(ids(consumer.lost)).toEqual(['2', '4'])
  expect(ids(await receive(consumer))).toEqual(['2', '4'])
  expect(codes(await settle(consumer, out.slice(0, 1)))).toEqual(['ok'])
})

test('memory: without a lease a delivery is kept as long as the feed lives', async () => {
  const { time, adapter, consumer } = await timed(shared(), null)
  await send(adapter, message('1'))
  const out = await receive(consumer)
  expect(out).toMatchObject([{ leaseMs: null }])
  expect(consumer.feed.extend).toBeUndefined()
  expect(time.clock.nextAt()).toBeUndefined()
  time.advance(10_000_000)
  expect(codes(await settle(consumer, out))).toEqual(['ok'])
})

test('memory: an idle broker has no timer, and a closed one neither', async () => {
  const { time, adapter, consumer } = await timed()
  const next = () => time.clock.nextAt()
  await send(adapter, message('1'))
  await adapter.send(
    [at.outgoing(message('2'), { kind: 'group', channel: 'orders', group: 'g', delayMs: 60_000 })],
    call(),
  )
  const out = await receive(consumer, 1)
  expect(await receive(consumer)).toEqual([])
  expect(next()).toBeDefined()
  await settle(consumer, out)
  await adapter.close()
  expect(next()).toBeUndefined()
})

test('memory: the count is that of one passing through: settled and rewound, a message counts anew', async () => {
  const { adapter, consumer } = await timed()
  await send(adapter, message('1'))
  for (const count of [1, 2, 3]) {
    const out = await receive(consumer)
    expect(out).toMatchObject([{ count }])
    if (count < 3) adapter.faults.loseLease()
    else await settle(consumer, out)
  }
  await adapter.rewind!.rewind(shared(), 'g', { kind: 'beginning' }, call())
  expect(await receive(consumer)).toMatchObject([{ count: 1 }])
})
