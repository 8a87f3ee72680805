import { expect, test } from 'vitest'
import * as at from './support.ts'

const { call, codeOf, codes, ids, keyed, manualClock, member, message, open, outgoing, receive, send, settle, shared } =
  at
const LETTERS = { kind: 'dead-letter', channel: 'orders', group: 'g' } as const

test('memory: a look at dead letters has a cursor: it hides nothing, and two see the same', async () => {
  const spec = shared()
  const adapter = await open(spec)
  await adapter.send(
    ['1', '2', '3'].map((id) => outgoing(message(id), LETTERS)),
    call(),
  )
  const one = await adapter.browse!.open(spec, 'g', call())
  const two = await adapter.browse!.open(spec, 'g', call())
  const first = await one.next(2, call())
  expect(first.map((letter) => letter.message.id)).toEqual(['1', '2'])
  expect((await two.next(10, call())).map((letter) => letter.message.id)).toEqual(['1', '2', '3'])
  expect(codes(await one.remove([first[0]!.position, 'd/99'], call()))).toEqual(['ok', 'DEAD_LETTER_NOT_FOUND'])
  expect((await one.next(10, call())).map((letter) => letter.message.id)).toEqual(['3'])
  expect(await one.next(10, call())).toEqual([])
  await one.close()
  expect(await codeOf(one.next(1, call()))).toBe('CLOSED')
  const again = await adapter.browse!.open(spec, 'g', call())
  expect((await again.next(10, call())).map((letter) => letter.message.id)).toEqual(['2', '3'])
  expect(await codeOf(adapter.browse!.open(spec, 'nobody', call()))).toBe('UNKNOWN_GROUP')
})

test('memory: stats are the truth: backlog, in flight, oldest age, dead letters', async () => {
  const spec = keyed(['g', 'h'])
  const time = manualClock()
  const adapter = await open(spec, { clock: time.clock })
  const read = () => adapter.stats!.read(spec, 'g', call())
  expect(await read()).toEqual({ backlog: 0, inFlight: 0, oldestAgeMs: 0, deadLetters: 0 })
  await send(adapter, message('old', { key: 'a' }))
  time.advance(500)
  await send(adapter, ...Array.from({ length: 999 }, (_, index) => message(`${index}`, { key: `k${index}` })))
  expect(await read()).toEqual({ backlog: 1000, inFlight: 0, oldestAgeMs: 500, deadLetters: 0 })
  const consumer = await member(adapter, spec)
  const out = await receive(consumer, 1000)
  time.advance(100)
  expect(await read()).toEqual({ backlog: 0, inFlight: 1000, oldestAgeMs: 600, deadLetters: 0 })
  expect(await consumer.feed.backlog?.(call())).toBe(0)
  const old = out.filter((delivery) => delivery.message.id === 'old')
  await settle(consumer, old, { kind: 'move', to: LETTERS, headers: [] })
  await settle(consumer, out.filter((delivery) => !old.includes(delivery)).slice(0, 900))
  expect(await read()).toEqual({ backlog: 0, inFlight: 99, oldestAgeMs: 100, deadLetters: 1 })
  await consumer.feed.close()
  expect(await read()).toMatchObject({ backlog: 99, inFlight: 0 })
  // What waits for its delay is no backlog: nobody could deliver it.
  await adapter.send([outgoing(message('r'), { kind: 'group', channel: 'orders', group: 'g', delayMs: 50 })], call())
  expect(await read()).toMatchObject({ backlog: 99 })
  time.advance(50)
  expect(await read()).toMatchObject({ backlog: 100 })
  expect(await adapter.stats!.read(spec, 'h', call())).toMatchObject({ backlog: 1000, inFlight: 0, deadLetters: 0 })
})

test('memory: a group is rewound to the beginning, the end, a time or a position, and loses what it held', async () => {
  const spec = keyed(['g'], 1)
  const time = manualClock()
  const adapter = await open(spec, { clock: time.clock })
  await send(adapter, message('1'), message('2'))
  time.advance(1000)
  const later = time.clock.wall()
  const [third] = await send(adapter, message('3'), message('4'))
  const consumer = await member(adapter, spec)
  const rewind = (to: Parameters<NonNullable<typeof adapter.rewind>['rewind']>[2]) =>
    adapter.rewind!.rewind(spec, 'g', to, call())
  const out = await receive(consumer)
  await settle(consumer, out.slice(0, 2))
  await rewind({ kind: 'beginning' })
  expect(ids(consumer.lost)).toEqual(['3', '4'])
  expect(codes(await settle(consumer, out.slice(2)))).toEqual(['LEASE_LOST', 'LEASE_LOST'])
  expect(ids(await receive(consumer))).toEqual(['1', '2', '3', '4'])
  await rewind({ kind: 'time', time: later })
  expect(ids(await receive(consumer))).toEqual(['3', '4'])
  await rewind({ kind: 'position', position: third!.ok ? third!.value.position! : '' })
  expect(ids(await receive(consumer))).toEqual(['3', '4'])
  await rewind({ kind: 'end' })
  expect(await receive(consumer)).toEqual([])
  await send(adapter, message('5'))
  expect(ids(await receive(consumer))).toEqual(['5'])
  expect(await codeOf(rewind({ kind: 'position', position: 'r/1' }))).toBe('INVALID_OPTION')
})

test('memory: after rewinds and settlements the log still lets go of what is finished, and of nothing else', async () => {
  const spec = shared(['g', 'h'])
  const adapter = await open(spec, { retention: 4, maxBacklog: 8 })
  const g = await member(adapter, spec)
  const h = await member(adapter, spec, { group: 'h' })
  for (let round = 0; round < 50; round++) {
    expect(codes(await send(adapter, message(`${round}`)))).toEqual(['ok'])
    await settle(g, await receive(g))
    if (round % 3 === 0) await adapter.rewind!.rewind(spec, 'g', { kind: 'beginning' }, call())
    if (round % 2 === 0) await settle(h, await receive(h))
  }
  await settle(g, await receive(g))
  await settle(h, await receive(h))
  const fresh = await member(adapter, spec, { group: 'new' })
  expect(ids(await receive(fresh))).toEqual(['46', '47', '48', '49'])
  adapter.faults.deleteGroup('orders', 'new')
  expect(codes(await send(adapter, ...Array.from({ length: 9 }, (_, index) => message(`x${index}`))))).toEqual([
    ...Array<string>(8).fill('ok'),
    'BROKER_BUSY',
  ])
})
