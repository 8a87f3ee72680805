import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import * as at from './support.ts'

const { call, codeOf, codes, ids, keyed, manualClock, member, message, open, outgoing, receive, send, settle, shared } =
  at
const LETTERS = { kind: 'dead-letter', channel: 'orders', group: 'g' } as const
const BURY = { kind: 'move', to: LETTERS, headers: [] } as const

test('memory: everything is declared that it can do', async () => {
  const adapter = await open(shared())
  expect(adapter.capabilities(shared())).toMatchObject({
    delay: { kind: 'exact' },
    move: 'atomic',
    settlement: 'single',
    lease: { ms: 30_000, renewable: true },
    lateSettle: 'always',
    crashGuard: 10,
    persistent: false,
    releaseHeaders: true,
    orderedBatch: true,
    browse: 'cursor',
    processes: false,
    credentials: false,
  })
})

test('memory without delay: only the rungs of the ladder are taken, and what is to go at once', async () => {
  const adapter = await open(shared(), { abilities: { delay: false } })
  expect(adapter.capabilities(shared()).delay).toEqual({ kind: 'ladder' })
  const delays = [1000, 10_000, 60_000, 600_000, 999, 0]
  const batch = delays.map((delayMs) =>
    outgoing(message('1'), { kind: 'group', channel: 'orders', group: 'g', delayMs }),
  )
  expect(codes(await adapter.send(batch, call()))).toEqual(['ok', 'ok', 'ok', 'ok', 'UNSUPPORTED', 'ok'])
})

test('memory without atomicMove: a connection lost between the halves leaves two copies with one id', async () => {
  const spec = shared()
  const adapter = await open(spec, { abilities: { atomicMove: false } })
  expect(adapter.capabilities(spec).move).toBe('copy-then-ack')
  const consumer = await member(adapter, spec)
  await send(adapter, message('1'))
  const out = await receive(consumer)
  adapter.faults.loseAnswer(1)
  expect(await codeOf(settle(consumer, out, BURY))).toBe('CONNECTION_FAILED')
  await adapter.connect({ ...call(), namespace: 'test', service: 'test', topology: 'create' })
  const again = await receive(await member(adapter, spec))
  expect(ids(again)).toEqual(['1'])
  expect(adapter.faults.deadLetters('orders', 'g').map(({ id }) => id)).toEqual(['1'])
})

test('memory without atomicMove: a repeated move copies once, a refused copy leaves the source, a lost lease copies nothing', async () => {
  const spec = shared()
  const time = manualClock()
  const adapter = await open(spec, { clock: time.clock, abilities: { atomicMove: false } })
  const consumer = await member(adapter, spec)
  await send(adapter, message('1'), message('2'))
  const [one, two] = await receive(consumer)
  const letters = () => adapter.faults.deadLetters('orders', 'g').map(({ id }) => id)
  adapter.faults.late(100)
  const stop = new AbortController()
  const moving = consumer.feed.settle([{ token: one!.token, ...BURY }], { signal: stop.signal })
  await at.turns()
  expect(letters()).toEqual(['1'])
  stop.abort()
  expect(await codeOf(moving)).toBe('ABORTED')
  adapter.faults.late(0)
  expect(codes(await settle(consumer, [one!], BURY))).toEqual(['ok'])
  expect(letters()).toEqual(['1'])
  const undo = adapter.faults.refuse(() => new PolybusError('BROKER_BUSY'))
  expect(codes(await settle(consumer, [two!], BURY))).toEqual(['BROKER_BUSY'])
  undo()
  adapter.faults.loseLease()
  expect(codes(await settle(consumer, [two!], BURY))).toEqual(['LEASE_LOST'])
  expect(letters()).toEqual(['1'])
})

test('memory without singleSettle: what was settled behind an unfinished message comes again after a crash, as in a log', async () => {
  const spec = keyed(['g'], 1)
  const adapter = await open(spec, { abilities: { singleSettle: false } })
  expect(adapter.capabilities(spec)).toMatchObject({ settlement: 'prefix', lease: { ms: null, renewable: false } })
  await send(adapter, ...['1', '2', '3', '4'].map((id) => message(id)))
  const a = await member(adapter, spec)
  const out = await receive(a)
  await settle(a, [out[0]!, out[2]!])
  await a.feed.close()
  const b = await member(adapter, spec)
  const again = await receive(b)
  expect(again.map(({ message: { id }, count }) => [id, count])).toEqual([
    ['2', 2],
    ['3', 2],
    ['4', 2],
  ])
  await settle(b, again.toReversed())
  await b.feed.close()
  const c = await member(adapter, spec)
  expect(await receive(c)).toEqual([])
  await send(adapter, message('5'))
  expect(ids(await receive(c))).toEqual(['5'])
  expect(await adapter.stats!.read(spec, 'g', call())).toMatchObject({ backlog: 0, inFlight: 1 })
})

test('memory without singleSettle: a release is delivered again alone, and a lost one takes its lane along', async () => {
  const spec = keyed(['g'], 1)
  const adapter = await open(spec, { abilities: { singleSettle: false } })
  await send(adapter, ...['1', '2', '3'].map((id) => message(id)))
  const consumer = await member(adapter, spec)
  const out = await receive(consumer)
  await settle(consumer, [out[1]!], { kind: 'release' })
  const back = await receive(consumer)
  expect(ids(back)).toEqual(['2'])
  await settle(consumer, back)
  expect(adapter.faults.loseLease(({ message: { id } }) => id === '3')).toBe(1)
  expect(ids(consumer.lost)).toEqual(['1', '3'])
  expect(ids(await receive(consumer))).toEqual(['1', '2', '3'])
})

test('memory without singleSettle: what was settled before a loss is forgotten, and must be settled again', async () => {
  const spec = keyed(['g'], 1)
  const adapter = await open(spec, { maxBacklog: 3, abilities: { singleSettle: false } })
  await send(adapter, message('1'), message('2'), message('3'))
  const consumer = await member(adapter, spec)
  await settle(consumer, (await receive(consumer)).slice(2))
  adapter.faults.loseLease()
  const again = await receive(consumer)
  expect(ids(again)).toEqual(['1', '2', '3'])
  await settle(consumer, again.slice(0, 2))
  adapter.faults.loseLease()
  const last = await receive(consumer)
  expect(ids(last)).toEqual(['3'])
  await settle(consumer, last)
  const more = ['4', '5', '6', '7'].map((id) => message(id))
  expect(codes(await send(adapter, ...more))).toEqual(['ok', 'ok', 'ok', 'BROKER_BUSY'])
})

test('memory without singleSettle: a lane that moves goes on from its first unfinished message', async () => {
  const spec = keyed(['g'], 2)
  const adapter = await open(spec, { abilities: { singleSettle: false } })
  await send(adapter, ...['1', '2', '3', '4', '5', '6'].map((id) => message(id)))
  const a = await member(adapter, spec)
  const out = await receive(a)
  const moving = out.filter(({ lane }) => lane === '1')
  await settle(a, [...out.filter(({ lane }) => lane === '0'), ...moving.slice(1)])
  await settle(a, moving.slice(0, 1), { kind: 'release' })
  const b = await member(adapter, spec)
  expect(b.feed.state().lanes).toEqual(['1'])
  expect(ids(await receive(b))).toEqual(ids(moving))
})

test('memory without singleSettle: where acks are durable, they are confirmed when all before them are finished', async () => {
  const spec = keyed(['g'], 1)
  const adapter = await open(spec, { abilities: { singleSettle: false } })
  await send(adapter, message('1'), message('2'), message('3'))
  const consumer = await member(adapter, spec, { durable: true })
  const [one, two, three] = await receive(consumer)
  let confirmed = false
  const later = settle(consumer, [two!]).then((results) => {
    confirmed = true
    return results
  })
  await at.turns()
  expect(confirmed).toBe(false)
  expect(codes(await settle(consumer, [one!]))).toEqual(['ok'])
  expect(codes(await later)).toEqual(['ok'])
  await send(adapter, message('4'))
  const last = settle(consumer, await receive(consumer))
  await at.turns()
  adapter.faults.loseLease()
  expect(codes(await last)).toEqual(['LEASE_LOST'])
  expect(ids(consumer.lost)).toEqual([three?.message.id])
})

test('memory without singleSettle: channels without keys have lanes with owners too', async () => {
  const spec = shared()
  const adapter = await open(spec, { abilities: { singleSettle: false } })
  const a = await member(adapter, spec)
  const b = await member(adapter, spec)
  expect([a.feed.state().lanes?.length, b.feed.state().lanes?.length]).toEqual([4, 4])
  await send(adapter, ...Array.from({ length: 80 }, (_, index) => message(`${index}`)))
  expect([(await receive(a)).length, (await receive(b)).length]).toEqual([40, 40])
})

test('memory without renew, count and releaseHeaders: none is there', async () => {
  const spec = shared()
  const adapter = await open(spec, { abilities: { renew: false, count: false, releaseHeaders: false } })
  expect(adapter.capabilities(spec)).toMatchObject({
    lease: { ms: 30_000, renewable: false },
    crashGuard: null,
    releaseHeaders: false,
  })
  const consumer = await member(adapter, spec)
  expect(consumer.feed.extend).toBeUndefined()
  await send(adapter, message('1'))
  const out = await receive(consumer)
  expect(out).toMatchObject([{ count: null }])
  await settle(consumer, out, { kind: 'release', headers: [['polybus-attempt', '2']] })
  expect(await receive(consumer)).toMatchObject([{ message: { headers: [] }, count: null }])
})

test('memory without orderedBatch: an entry behind a failed one is written all the same', async () => {
  const spec = keyed(['g'], 1)
  const adapter = await open(spec, { abilities: { orderedBatch: false } })
  expect(adapter.capabilities(spec).orderedBatch).toBe(false)
  adapter.faults.refuse((one) => (one.message.id === '1' ? new PolybusError('BROKER_REFUSED') : undefined))
  const batch = ['1', '2', '3'].map((id) => message(id, { key: 'k' }))
  expect(codes(await send(adapter, ...batch))).toEqual(['BROKER_REFUSED', 'ok', 'ok'])
  expect(new Set(ids(await receive(await member(adapter, spec))))).toEqual(new Set(['2', '3']))
})
