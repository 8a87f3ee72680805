import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import { memory, type MemoryAdapter } from '../src/index.ts'
import * as at from './support.ts'

const { call, codeOf, codes, ids, keyed, manualClock, member, message, open, outgoing, receive, send, settle, shared } =
  at
const connect = (adapter: MemoryAdapter) =>
  adapter.connect({ ...call(), namespace: 'test', service: 'test', topology: 'create' })
const isPending = async (promise: Promise<unknown>): Promise<boolean> => {
  let pending = true
  const end = () => void (pending = false)
  promise.then(end, end)
  await at.turns()
  return pending
}

test('memory: down: every call rejects with CONNECTION_FAILED until up, and nothing that was written is lost', async () => {
  const spec = shared()
  const adapter = await open(spec)
  const consumer = await member(adapter, spec)
  await send(adapter, message('1'), message('2'))
  const out = await receive(consumer, 1)
  const waiting = consumer.feed.receive(0, call())
  const session = await adapter.browse!.open(spec, 'g', call())
  adapter.faults.down()
  expect(consumer.lost).toEqual(out)
  expect(consumer.feed.state().connected).toBe(false)
  const calls = [
    waiting,
    connect(adapter),
    send(adapter, message('3')),
    consumer.feed.receive(1, call()),
    settle(consumer, out),
    session.next(1, call()),
    adapter.stats!.read(spec, 'g', call()),
    adapter.topology!.plan([spec], call()),
    member(adapter, spec),
  ]
  expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'CONNECTION_FAILED'))
  await consumer.feed.close()
  adapter.faults.up()
  expect(await codeOf(send(adapter, message('3')))).toBe('CONNECTION_FAILED')
  await connect(adapter)
  const again = await member(adapter, spec)
  expect((await receive(again)).map(({ message: { id }, count }) => [id, count])).toEqual([
    ['1', 2],
    ['2', 1],
  ])
})

test('memory: cut drops all connections of the broker, and connect works at once', async () => {
  const spec = shared()
  const one = await open(spec, { name: 'cut-me' })
  const two = await open(spec, { name: 'cut-me' })
  two.faults.cut()
  for (const adapter of [one, two]) {
    const error = await send(adapter, message('1')).catch((reason: unknown) => reason)
    // It was not sent over the dead connection.
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', sent: 'no' })
    await connect(adapter)
    expect(codes(await send(adapter, message('1')))).toEqual(['ok'])
  }
})

test('memory: crash: this adapter alone is dead, and its leases go at their time', async () => {
  const spec = shared()
  const time = manualClock()
  const options = { name: 'crash-me', clock: time.clock, leaseMs: 1000 }
  const dying = await open(spec, options)
  const living = await open(spec, options)
  const a = await member(dying, spec)
  const b = await member(living, spec)
  await send(living, message('1'), message('2'))
  const out = await receive(a)
  const waiting = a.feed.receive(1, call())
  dying.faults.crash()
  const calls = [waiting, connect(dying), send(dying, message('3')), settle(a, out), a.feed.receive(1, call())]
  expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'CLOSED'))
  await a.feed.close()
  await dying.close()
  expect(await living.stats!.read(spec, 'g', call())).toMatchObject({ backlog: 0, inFlight: 2 })
  expect(await receive(b)).toEqual([])
  time.advance(1000)
  expect(ids(await receive(b))).toEqual(['1', '2'])
  expect(a.lost).toEqual([])
})

test('memory: crash without leases gives back at once', async () => {
  const spec = keyed(['g'], 1)
  const dying = await open(spec, { name: 'crash-null', leaseMs: null })
  const living = await open(spec, { name: 'crash-null' })
  const a = await member(dying, spec)
  const b = await member(living, spec)
  await send(living, message('1', { key: 'k' }))
  expect(await receive(a)).toHaveLength(1)
  dying.faults.crash()
  expect(await receive(b)).toMatchObject([{ message: { id: '1' }, count: 2 }])
})

test('memory: pause: calls hang until resume and are then done, even those whose caller gave up', async () => {
  const spec = shared()
  const adapter = await open(spec)
  const consumer = await member(adapter, spec)
  await send(adapter, message('0'))
  const out = await receive(consumer)
  adapter.faults.pause()
  const stop = new AbortController()
  const sending = send(adapter, message('1'))
  const aborted = adapter.send([outgoing(message('2'))], { signal: stop.signal })
  const settling = settle(consumer, out)
  const receiving = consumer.feed.receive(10, call())
  expect(await isPending(Promise.race([sending, aborted, settling, receiving, connect(adapter)]))).toBe(true)
  stop.abort()
  const error = await aborted.catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'ABORTED', sent: 'unknown' })
  adapter.faults.resume()
  expect(codes(await sending)).toEqual(['ok'])
  expect(codes(await settling)).toEqual(['ok'])
  expect([...ids(await receiving), ...ids(await receive(consumer))]).toEqual(['1', '2'])
})

test('memory: pause: a receive gives a silent broker up after five seconds; what lay in the buffer of that connection is gone', async () => {
  const spec = shared()
  const time = manualClock()
  const adapter = await open(spec, { clock: time.clock })
  const consumer = await member(adapter, spec)
  const receiving = consumer.feed.receive(10, call())
  await at.turns()
  adapter.faults.pause()
  const sending = send(adapter, message('1'))
  time.advance(4999)
  expect(await isPending(receiving)).toBe(true)
  time.advance(1)
  expect(await codeOf(receiving)).toBe('CONNECTION_FAILED')
  expect(await sending.catch((reason: unknown) => reason)).toMatchObject({ code: 'CONNECTION_FAILED', sent: 'unknown' })
  const connecting = connect(adapter)
  expect(await isPending(connecting)).toBe(true)
  adapter.faults.resume()
  await connecting
  expect(ids(await receive(await member(adapter, spec)))).toEqual([])
})

test('memory: late: every answer takes so long, and what it brings is not lost when its caller gives up', async () => {
  const spec = shared()
  const time = manualClock()
  const adapter = await open(spec, { clock: time.clock })
  const consumer = await member(adapter, spec)
  adapter.faults.late(300)
  const sending = send(adapter, message('1'))
  await at.turns()
  time.advance(299)
  expect(await isPending(sending)).toBe(true)
  time.advance(1)
  expect(codes(await sending)).toEqual(['ok'])
  const stop = new AbortController()
  const receiving = consumer.feed.receive(1, { signal: stop.signal })
  await at.turns()
  expect(await isPending(receiving)).toBe(true)
  stop.abort()
  const out = await receiving
  expect(ids(out)).toEqual(['1'])
  adapter.faults.late(0)
  expect(codes(await settle(consumer, out))).toEqual(['ok'])
})

test('memory: refuse: entry by entry, for sends and for the copies of moves; then the source is not settled', async () => {
  const spec = shared()
  const adapter = await open(spec)
  const consumer = await member(adapter, spec)
  const undo = adapter.faults.refuse((one) =>
    one.message.id === '2' || one.to.kind === 'dead-letter' ? new PolybusError('ACCESS_DENIED') : undefined,
  )
  expect(codes(await send(adapter, message('1'), message('2'), message('3')))).toEqual(['ok', 'ACCESS_DENIED', 'ok'])
  const out = await receive(consumer)
  const bury = { kind: 'move', to: { kind: 'dead-letter', channel: 'orders', group: 'g' }, headers: [] } as const
  expect(codes(await settle(consumer, out, bury))).toEqual(['ACCESS_DENIED', 'ACCESS_DENIED'])
  expect(await adapter.stats!.read(spec, 'g', call())).toMatchObject({ inFlight: 2, deadLetters: 0 })
  undo()
  expect(codes(await settle(consumer, out, bury))).toEqual(['ok', 'ok'])
  expect(adapter.faults.deadLetters('orders', 'g').map(({ id }) => id)).toEqual(['1', '3'])
})

test('memory: loseAnswer: the send is written, and its caller cannot know', async () => {
  const spec = shared()
  const adapter = await open(spec)
  adapter.faults.loseAnswer(1)
  const error = await send(adapter, message('1')).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'CONNECTION_FAILED', sent: 'unknown', retryable: true })
  await connect(adapter)
  expect(codes(await send(adapter, message('1')))).toEqual(['ok'])
  expect(ids(await receive(await member(adapter, spec)))).toEqual(['1', '1'])
})

test('memory: stall: nothing is received although there is a backlog', async () => {
  const spec = shared()
  const time = manualClock()
  const adapter = await open(spec, { clock: time.clock })
  const consumer = await member(adapter, spec)
  await send(adapter, message('1'))
  adapter.faults.stall(true)
  const empty = consumer.feed.receive(10, call())
  await at.turns()
  time.advance(1000)
  expect(await empty).toEqual([])
  expect(await consumer.feed.backlog?.(call())).toBe(1)
  const waiting = consumer.feed.receive(10, call())
  await at.turns()
  adapter.faults.stall(false)
  expect(ids(await waiting)).toEqual(['1'])
})

test('memory: a deleted group or channel breaks its feeds, and what they held is lost', async () => {
  const spec = shared(['g', 'h'])
  const adapter = await open(spec)
  const g = await member(adapter, spec)
  const h = await member(adapter, spec, { group: 'h' })
  await send(adapter, message('1'))
  const out = await receive(g)
  const waiting = g.feed.receive(1, call())
  await at.turns()
  adapter.faults.deleteGroup('orders', 'g')
  expect(await codeOf(waiting)).toBe('FEED_BROKEN')
  expect(g.lost).toEqual(out)
  expect(await codeOf(settle(g, out))).toBe('FEED_BROKEN')
  expect(ids(await receive(h))).toEqual(['1'])
  await g.feed.close()
  adapter.faults.deleteChannel('orders')
  expect(await codeOf(h.feed.receive(1, call()))).toBe('FEED_BROKEN')
  expect(codes(await send(adapter, message('2')))).toEqual(['TOPOLOGY_MISSING'])
  await at.create(adapter, spec)
  await send(adapter, message('3'))
  expect(ids(await receive(await member(adapter, spec)))).toEqual(['3'])
})

test('memory: faults of a private broker reach nobody else', async () => {
  const spec = shared()
  const one = await open(spec)
  const other = await open(spec)
  one.faults.down()
  expect(codes(await send(other, message('1')))).toEqual(['ok'])
  expect(() => memory().faults.injectForeign('nope', { body: null })).toThrow(
    expect.objectContaining({ code: 'TOPOLOGY_MISSING' }),
  )
})
