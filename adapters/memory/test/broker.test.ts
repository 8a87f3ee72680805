import { PolybusError } from '@polybus/core'
import { describe, expect, test } from 'vitest'
import { memory } from '../src/index.ts'
import * as at from './support.ts'

const { call, codeOf, codes, ids, keyed, manualClock, member, message, open, outgoing, receive, send, settle, shared } =
  at

describe('memory: delivering', () => {
  test('memory: a message arrives as it was sent, and its body is not copied', async () => {
    const spec = keyed()
    const adapter = await open(spec)
    const body = Uint8Array.from({ length: 256 }, (_, index) => index)
    const headers = [
      ['x', 'é'],
      ['x', ''],
      ['bin', new Uint8Array([0])],
    ] as const
    const sent = message('1', { key: 'ключ', body, headers, correlationId: 'c' })
    const [result] = await send(adapter, sent, message('2', { body: null }))
    const consumer = await member(adapter, spec)
    const received = await receive(consumer)
    const first = received.find((delivery) => delivery.message.id === '1')
    expect(first?.message).toEqual(sent)
    expect(first?.message.body).toBe(body)
    expect(result).toEqual({ ok: true, value: { position: first?.position } })
    expect(first).toMatchObject({ count: 1, leaseMs: 30_000, lane: first?.position.split('/')[0] })
    expect(received.find((delivery) => delivery.message.id === '2')?.message.body).toBeNull()
  })

  test('memory: each group gets each message, and settles for itself alone', async () => {
    const spec = shared(['g', 'h'])
    const adapter = await open(spec)
    await send(adapter, message('1'), message('2'))
    const g = await member(adapter, spec)
    const h = await member(adapter, spec, { group: 'h' })
    const received = await receive(g)
    expect(ids(received)).toEqual(['1', '2'])
    expect(codes(await settle(g, received))).toEqual(['ok', 'ok'])
    expect(ids(await receive(g))).toEqual([])
    expect(ids(await receive(h))).toEqual(['1', '2'])
  })

  test('memory: a waiting receive is answered by the send, and an empty one after about a second', async () => {
    const spec = shared()
    const time = manualClock()
    const adapter = await open(spec, { clock: time.clock })
    const { feed } = await member(adapter, spec)
    const waiting = feed.receive(10, call())
    await at.turns()
    await send(adapter, message('1'))
    expect(ids(await waiting)).toEqual(['1'])
    const empty = feed.receive(10, call())
    await at.turns()
    time.advance(1000)
    expect(await empty).toEqual([])
  })

  test('memory: no more is out than maxInFlight and maxBytes allow, and a settlement makes room for a waiting receive', async () => {
    const spec = shared()
    const adapter = await open(spec)
    await send(adapter, ...['1', '2', '3', '4'].map((id) => message(id)))
    const few = await member(adapter, spec, { maxInFlight: 3 })
    const first = await receive(few)
    expect(ids(first)).toEqual(['1', '2', '3'])
    expect(await receive(few)).toEqual([])
    const waiting = few.feed.receive(10, call())
    await at.turns()
    await settle(few, first.slice(0, 1))
    expect(ids(await waiting)).toEqual(['4'])
    await few.feed.close()
    const narrow = await member(adapter, spec, { maxBytes: 1 })
    const [only] = await receive(narrow)
    expect(await receive(narrow)).toEqual([])
    await settle(narrow, [only!])
    expect(await receive(narrow)).toHaveLength(1)
  })

  test('memory: a group begins where it asks to; a declared group has all, whenever it first runs', async () => {
    const spec = shared(['g'])
    const adapter = await open(spec)
    await send(adapter, message('1'))
    const all = await member(adapter, spec, { group: 'late', from: 'beginning' })
    const rest = await member(adapter, spec, { group: 'later', from: 'end' })
    await send(adapter, message('2'))
    expect(ids(await receive(all))).toEqual(['1', '2'])
    expect(ids(await receive(rest))).toEqual(['2'])
    expect(ids(await receive(await member(adapter, spec, { from: 'end' })))).toEqual(['1', '2'])
  })

  test('memory: a foreign message has its position as its id, also after a move, and stays as it was in the dead letters', async () => {
    const spec = shared()
    const adapter = await open(spec)
    adapter.faults.injectForeign('orders', { body: new Uint8Array([7]), headers: [['x', '1']] })
    const consumer = await member(adapter, spec)
    const [foreign] = await receive(consumer)
    expect(foreign?.message.id).toBe(`orders/${foreign?.position}`)
    const headers = [['polybus-id', foreign?.message.id ?? '']] as const
    await settle(consumer, [foreign!], {
      kind: 'move',
      to: { kind: 'dead-letter', channel: 'orders', group: 'g' },
      headers,
    })
    const [letter] = adapter.faults.deadLetters('orders', 'g')
    expect(letter).toMatchObject({ id: undefined, body: new Uint8Array([7]), headers: [['x', '1'], ...headers] })
  })
})

describe('memory: settling', () => {
  test('memory: a second settlement of one delivery, or by another feed, is LEASE_LOST', async () => {
    const spec = shared()
    const adapter = await open(spec)
    await send(adapter, message('1'), message('2'))
    const a = await member(adapter, spec)
    const b = await member(adapter, spec)
    const [first, second] = await receive(a)
    expect(codes(await settle(a, [first!, first!]))).toEqual(['ok', 'LEASE_LOST'])
    expect(codes(await settle(b, [second!]))).toEqual(['LEASE_LOST'])
    expect(codes(await settle(a, [second!]))).toEqual(['ok'])
  })

  test('memory: a move writes the copy and finishes the original; delayed copies come exactly in time, short ones before long', async () => {
    const spec = shared()
    const time = manualClock()
    const adapter = await open(spec, { clock: time.clock })
    await send(adapter, message('1', { headers: [['polybus-attempt', '1']] }), message('2'))
    const consumer = await member(adapter, spec)
    const [one, two] = await receive(consumer)
    const to = (delayMs: number) => ({ kind: 'group', channel: 'orders', group: 'g', delayMs }) as const
    await settle(consumer, [one!], { kind: 'move', to: to(5000), headers: [['polybus-attempt', '2']] })
    await settle(consumer, [two!], { kind: 'move', to: to(150), headers: [], message: message('2b') })
    time.advance(149)
    expect(await receive(consumer)).toEqual([])
    const waiting = consumer.feed.receive(10, call())
    await at.turns()
    time.advance(1)
    const [early] = await waiting
    expect(early).toMatchObject({ message: { id: '2b' }, position: 'r/1', count: 1 })
    time.advance(4849)
    expect(await receive(consumer)).toEqual([])
    time.advance(1)
    const [late] = await receive(consumer)
    expect(late?.message).toEqual(message('1', { headers: [['polybus-attempt', '2']] }))
    await settle(consumer, [early!, late!])
    expect(await adapter.stats?.read(spec, 'g', call())).toMatchObject({ backlog: 0, inFlight: 0 })
  })

  test('memory: a delayed message wakes who waits, whenever they came and whatever fell due unseen before it', async () => {
    const spec = shared()
    const time = manualClock()
    const adapter = await open(spec, { clock: time.clock })
    const delayed = (id: string, delayMs: number) =>
      outgoing(message(id), { kind: 'group', channel: 'orders', group: 'g', delayMs })
    await adapter.send([delayed('1', 100), delayed('2', 200)], call())
    const consumer = await member(adapter, spec)
    const first = consumer.feed.receive(10, call())
    await at.turns()
    time.advance(100)
    expect(ids(await first)).toEqual(['1'])
    await adapter.send([delayed('3', 150)], call())
    time.advance(100)
    expect(ids(await receive(consumer))).toEqual(['2'])
    const third = consumer.feed.receive(10, call())
    await at.turns()
    time.advance(50)
    expect(ids(await third)).toEqual(['3'])
    const fourth = consumer.feed.receive(10, call())
    await at.turns()
    await adapter.send([delayed('4', 150)], call())
    time.advance(150)
    expect(ids(await fourth)).toEqual(['4'])
  })

  test('memory: what is given back wakes who waits', async () => {
    const spec = shared()
    const adapter = await open(spec)
    const a = await member(adapter, spec)
    const b = await member(adapter, spec)
    await send(adapter, message('1'), message('2'))
    const out = await receive(a)
    const first = b.feed.receive(10, call())
    await at.turns()
    await a.feed.drain?.(call())
    await settle(a, out.slice(0, 1), { kind: 'release' })
    expect(ids(await first)).toEqual(['1'])
    const second = b.feed.receive(10, call())
    await at.turns()
    await a.feed.close()
    expect(ids(await second)).toEqual(['2'])
  })

  test('memory: what is released comes again first and in order, not counted, with the headers given to it', async () => {
    const spec = keyed(['g'], 1)
    const adapter = await open(spec)
    await send(adapter, ...['1', '2', '3'].map((id) => message(id, { key: 'k' })))
    const consumer = await member(adapter, spec)
    const [one, two] = await receive(consumer, 2)
    await settle(consumer, [two!], { kind: 'release' })
    await settle(consumer, [one!], { kind: 'release', headers: [['polybus-attempt', '3']] })
    const again = await receive(consumer)
    expect(ids(again)).toEqual(['1', '2', '3'])
    expect(again[0]).toMatchObject({ count: 1, message: { headers: [['polybus-attempt', '3']] } })
  })

  test('memory: what a closed feed had not settled is delivered to another', async () => {
    const spec = shared()
    const adapter = await open(spec)
    await send(adapter, message('1'), message('2'))
    const a = await member(adapter, spec)
    const [one] = await receive(a)
    await settle(a, [one!])
    await a.feed.close()
    await a.feed.close()
    expect(a.lost).toEqual([])
    expect(await codeOf(a.feed.receive(1, call()))).toBe('FEED_BROKEN')
    const [two] = await receive(await member(adapter, spec))
    expect(two).toMatchObject({ message: { id: '2' }, count: 2 })
  })

  test('memory: a draining feed gets nothing more, and still settles', async () => {
    const spec = shared()
    const adapter = await open(spec)
    await send(adapter, message('1'))
    const consumer = await member(adapter, spec)
    const out = await receive(consumer)
    await consumer.feed.drain?.(call())
    await send(adapter, message('2'))
    expect(await receive(consumer)).toEqual([])
    expect(codes(await settle(consumer, out))).toEqual(['ok'])
  })
})

describe('memory: limits', () => {
  test('memory: finished messages beyond retention go, unfinished never: then a publish is refused with BROKER_BUSY', async () => {
    const spec = shared()
    const adapter = await open(spec, { retention: 3 })
    const consumer = await member(adapter, spec)
    expect(codes(await send(adapter, ...'12345'.split('').map((id) => message(id))))).toEqual(
      'ok ok ok BROKER_BUSY BROKER_BUSY'.split(' '),
    )
    await settle(consumer, await receive(consumer))
    expect(codes(await send(adapter, message('4'), message('5')))).toEqual(['ok', 'ok'])
    expect(ids(await receive(await member(adapter, spec, { group: 'new' })))).toEqual(['3', '4', '5'])
  })

  test('memory: one stuck message does not keep the finished ones behind it', async () => {
    const spec = shared()
    const adapter = await open(spec, { retention: 10, maxBacklog: 100 })
    const consumer = await member(adapter, spec)
    await send(adapter, message('stuck'))
    const stuck = await receive(consumer)
    for (let index = 0; index < 500; index++) {
      await send(adapter, message(`${index}`))
      await settle(consumer, await receive(consumer))
    }
    const history = await receive(await member(adapter, spec, { group: 'new' }), 1000)
    expect(ids(history)).toEqual(['stuck', ...Array.from({ length: 9 }, (_, index) => `${491 + index}`)])
    expect(codes(await settle(consumer, stuck))).toEqual(['ok'])
  })

  test('memory: bytes are bounded as messages are', async () => {
    const spec = shared()
    const one = message('1', { body: new Uint8Array(1000) })
    const adapter = await open(spec)
    const bounded = await open(spec, { retentionBytes: 2 * adapter.size(one) })
    expect(codes(await send(bounded, one, one, one))).toEqual(['ok', 'ok', 'BROKER_BUSY'])
    const consumer = await member(bounded, spec)
    await settle(consumer, await receive(consumer))
    expect(codes(await send(bounded, one, one, one))).toEqual(['ok', 'ok', 'BROKER_BUSY'])
  })

  test('memory: a declared group that was deleted finds all messages when it is made again, beyond retention too', async () => {
    const spec = shared()
    const adapter = await open(spec, { retention: 2, maxBacklog: 10 })
    adapter.faults.deleteGroup('orders', 'g')
    await send(adapter, ...'12345'.split('').map((id) => message(id)))
    await at.create(adapter, spec)
    expect(ids(await receive(await member(adapter, spec)))).toEqual(['1', '2', '3', '4', '5'])
  })
})

describe('memory: sending', () => {
  test('memory: an entry behind a failed one of its key is NOT_ATTEMPTED, its neighbours are sent', async () => {
    const spec = keyed()
    const adapter = await open(spec)
    const refused = new PolybusError('BROKER_REFUSED')
    const undo = adapter.faults.refuse((one) => (one.message.id === '2' ? refused : undefined))
    const batch = ['1', '2', '3', '4'].map((id) => message(id, { key: id === '4' ? 'other' : 'k' }))
    expect(codes(await send(adapter, ...batch))).toEqual(['ok', 'BROKER_REFUSED', 'NOT_ATTEMPTED', 'ok'])
    undo()
    expect(codes(await send(adapter, ...batch.slice(1, 3)))).toEqual(['ok', 'ok'])
    const received = await receive(await member(adapter, spec))
    expect(ids(received).filter((id) => id !== '4')).toEqual(['1', '2', '3'])
  })

  test('memory: only the groups named get it, and those that are missing are told', async () => {
    const spec = shared(['g', 'h'])
    const adapter = await open(spec)
    const [result] = await adapter.send([{ ...outgoing(message('1')), groups: ['h', 'x'] }], call())
    expect(result).toMatchObject({ ok: true, value: { missing: [{ group: 'x', error: { code: 'UNKNOWN_GROUP' } }] } })
    expect(ids(await receive(await member(adapter, spec, { group: 'h' })))).toEqual(['1'])
    expect(ids(await receive(await member(adapter, spec)))).toEqual([])
  })

  test('memory: a channel or a group that is not there is an error of its entry, and retryable where it may be created', async () => {
    const adapter = await open(shared())
    const to = [
      { kind: 'channel', channel: 'nope' },
      { kind: 'group', channel: 'orders', group: 'x', delayMs: 0 },
    ] as const
    const results = await adapter.send(
      [...to.map((one) => outgoing(message('1'), one)), outgoing(message('2'))],
      call(),
    )
    expect(codes(results)).toEqual(['TOPOLOGY_MISSING', 'UNKNOWN_GROUP', 'ok'])
    expect(results[0]).toMatchObject({ error: { retryable: true, sent: 'no' } })
  })

  test('memory: before connect and after close nothing is sent', async () => {
    const adapter = memory()
    expect(await codeOf(send(adapter, message('1')))).toBe('CONNECTION_FAILED')
    await adapter.close()
    await adapter.close()
    expect(await codeOf(send(adapter, message('1')))).toBe('CLOSED')
    expect(await codeOf(adapter.connect({ ...call(), namespace: undefined, service: 's', topology: 'create' }))).toBe(
      'CLOSED',
    )
  })
})

describe('memory: topology', () => {
  test('memory: what is missing is planned and applied, what differs is reported', async () => {
    const adapter = await open(keyed(['g'], 4))
    const plan = await adapter.topology?.plan([keyed(['g', 'h'], 4)], call())
    expect(plan?.changes.map(({ kind, name }) => [kind, name])).toEqual([['create-group', 'orders/h']])
    // It may come back from a file.
    await adapter.topology?.apply(JSON.parse(JSON.stringify(plan?.changes)), call())
    expect(await adapter.topology?.plan([keyed(['g', 'h'])], call())).toEqual({ changes: [], conflicts: [] })
    const other = await adapter.topology?.plan([{ ...shared(), partitions: 2 }], call())
    expect(other?.conflicts.map(({ kind }) => kind)).toEqual(['keyed', 'partitions'])
    expect(await codeOf(member(adapter, shared()))).toBe('TOPOLOGY_CONFLICT')
  })

  test('memory: with topology verify a subscription creates nothing', async () => {
    const adapter = await open(shared(), { name: 'verify-only' })
    const strict = await open(shared(), { name: 'verify-only' }, 'verify')
    expect(await codeOf(member(strict, shared()))).toBe('resolved')
    expect(await codeOf(member(strict, shared(), { group: 'new' }))).toBe('TOPOLOGY_MISSING')
    expect(await codeOf(member(strict, { ...shared(), name: 'new' }))).toBe('TOPOLOGY_MISSING')
    expect(await codeOf(member(adapter, shared(), { group: 'new' }))).toBe('resolved')
  })

  test('memory: namespaces do not see each other', async () => {
    const spec = shared()
    const one = await open(spec, { name: 'namespaces' })
    const two = memory('namespaces')
    await two.connect({ ...call(), namespace: 'other', service: 's', topology: 'create' })
    await at.create(two, spec)
    await send(one, message('1'))
    expect(ids(await receive(await member(two, spec)))).toEqual([])
    expect(ids(await receive(await member(one, spec)))).toEqual(['1'])
  })
})

describe('memory: options', () => {
  test('memory: adapters of one name share a broker, also after one was closed; without a name each has its own', async () => {
    const spec = shared()
    const publisher = await open(spec, { name: 'shop' })
    await send(publisher, message('1'))
    await publisher.close()
    const later = memory('memory:shop')
    await later.connect({ ...call(), namespace: 'test', service: 's', topology: 'create' })
    expect(ids(await receive(await member(later, spec)))).toEqual(['1'])
    expect(ids(await receive(await member(await open(spec), spec)))).toEqual([])
  })

  test('memory: a URL carries options', () => {
    const capabilities = memory('memory:with-options?leaseMs=5000&retention=10').capabilities(shared())
    expect(capabilities.lease).toEqual({ ms: 5000, renewable: true, maxHoldMs: null })
  })

  test.each([
    [{ retenton: 5 }, 'memory().retenton'],
    [{ retention: -1 }, 'memory().retention'],
    [{ leaseMs: 0 }, 'memory().leaseMs'],
    [{ name: 'No Name' }, 'memory().name'],
    [{ abilities: { fly: true } }, 'memory().abilities.fly'],
    [{ abilities: { delay: 1 } }, 'memory().abilities.delay'],
    ['memory:shop?password=hunter2', 'password'],
    ['memory:shop?leaseMs=soon', 'memory().leaseMs'],
  ])('memory: %j is refused, and the field is named', (options, field) => {
    expect(() => memory(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(field) }),
    )
  })

  test('memory: a named broker keeps the options it was opened with', () => {
    memory({ name: 'first-wins', leaseMs: 1000 })
    expect(() => memory({ name: 'first-wins', leaseMs: 1000 })).not.toThrow()
    expect(() => memory({ name: 'first-wins', leaseMs: 2000 })).toThrow('first-wins')
    expect(() => memory({ name: 'first-wins', abilities: { delay: false } })).toThrow('abilities.delay')
  })
})
