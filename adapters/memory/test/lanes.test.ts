import { describe, expect, test } from 'vitest'
import * as at from './support.ts'

const { call, codes, ids, keyed, manualClock, member, message, open, receive, send, settle, shared } = at
const lanesOf = (one: at.Member): readonly string[] => one.feed.state().lanes ?? []
const batch = (count: number, keys = 100) =>
  Array.from({ length: count }, (_, index) => message(`${index}`, { key: `k${index % keys}` }))

describe('memory: keyed lanes', () => {
  test('memory: lanes are within one of evenly shared, and each has one owner, as members come and go', async () => {
    const spec = keyed()
    const adapter = await open(spec)
    const members: at.Member[] = []
    const check = () => {
      const owned = members.map(lanesOf)
      expect(owned.flat().toSorted()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
      const counts = owned.map((lanes) => lanes.length)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    }
    for (let count = 1; count <= 5; count++) {
      members.push(await member(adapter, spec))
      check()
    }
    while (members.length > 1) {
      await members.splice(members.length >> 1, 1)[0]?.feed.close()
      check()
    }
  })

  test('memory: no more lanes change hands than must', async () => {
    const spec = keyed()
    const adapter = await open(spec)
    const a = await member(adapter, spec)
    const before = lanesOf(a)
    await member(adapter, spec)
    expect(lanesOf(a)).toHaveLength(4)
    expect(before).toEqual(expect.arrayContaining([...lanesOf(a)]))
  })

  test('memory: more members than lanes: the rest stand by, and take over', async () => {
    const spec = keyed(['g'], 1)
    const adapter = await open(spec)
    const a = await member(adapter, spec)
    const b = await member(adapter, spec)
    expect([lanesOf(a), lanesOf(b)]).toEqual([['0'], []])
    await send(adapter, message('1', { key: 'k' }))
    expect(await receive(b)).toEqual([])
    expect(await b.feed.backlog?.(call())).toBe(0)
    await a.feed.close()
    expect(ids(await receive(b))).toEqual(['1'])
  })

  test('memory: a key is delivered in order by its lane alone, whoever asks', async () => {
    const spec = keyed()
    const adapter = await open(spec)
    const a = await member(adapter, spec)
    const b = await member(adapter, spec)
    await send(adapter, ...batch(500))
    const [fromA, fromB] = [await receive(a, 500), await receive(b, 500)]
    expect(fromA.length + fromB.length).toBe(500)
    const keysOf = (deliveries: typeof fromA) => new Set(deliveries.map((one) => one.message.key))
    expect([...keysOf(fromA)].filter((key) => keysOf(fromB).has(key))).toEqual([])
    for (const deliveries of [fromA, fromB])
      for (const key of keysOf(deliveries)) {
        const numbers = deliveries.filter((one) => one.message.key === key).map((one) => Number(one.message.id))
        expect(numbers).toEqual(numbers.toSorted((x, y) => x - y))
      }
  })

  test('memory: no lane keeps the others waiting, however full it is', async () => {
    const spec = keyed(['g'], 2)
    const adapter = await open(spec)
    const consumer = await member(adapter, spec)
    const lanes = new Set<string>()
    await send(adapter, ...batch(100))
    for (let round = 0; round < 2; round++) for (const { lane } of await receive(consumer, 5)) lanes.add(lane)
    expect(lanes.size).toBe(2)
  })

  test('memory: a lane that moves is revoked first; it goes when its owner let go, and what was released is delivered by the new owner in order', async () => {
    const spec = keyed(['g'], 2)
    const time = manualClock()
    const adapter = await open(spec, { clock: time.clock, leaseMs: null })
    let letGo = (): void => undefined
    const released = new Promise<void>((resolve) => (letGo = resolve))
    const asked: unknown[] = []
    const a = await member(adapter, spec, {
      onRevoke(tokens) {
        asked.push(...tokens)
        return released
      },
    })
    await send(adapter, ...batch(40))
    const out = await receive(a)
    const b = await member(adapter, spec)
    const moving = out.filter(({ token }) => asked.includes(token))
    expect(new Set(moving.map(({ lane }) => lane)).size).toBe(1)
    expect([lanesOf(a).length, lanesOf(b).length]).toEqual([1, 0])
    await send(adapter, ...batch(40))
    expect((await receive(a)).every(({ lane }) => lane !== moving[0]?.lane)).toBe(true)
    const half = moving.length >> 1
    expect(new Set(codes(await settle(a, moving.slice(0, half))))).toEqual(new Set(['ok']))
    await settle(a, moving.slice(half).toReversed(), { kind: 'release' })
    expect(await receive(b)).toEqual([])
    letGo()
    await at.turns()
    expect([lanesOf(a).length, lanesOf(b).length]).toEqual([1, 1])
    const taken = await receive(b)
    expect(ids(taken.slice(0, moving.length - half))).toEqual(ids(moving.slice(half)))
    expect(a.lost).toEqual([])
    expect(time.clock.nextAt()).toBeUndefined()
  })

  test('memory: an owner that does not let go loses what it holds after one lease', async () => {
    const spec = keyed(['g'], 2)
    const time = manualClock()
    const adapter = await open(spec, { clock: time.clock, leaseMs: 1000 })
    const a = await member(adapter, spec, { onRevoke: () => new Promise(() => undefined) })
    await send(adapter, ...batch(40))
    const out = await receive(a)
    const b = await member(adapter, spec)
    time.advance(500)
    await a.feed.extend?.(
      out.map(({ token }) => token),
      call(),
    )
    time.advance(500)
    expect(a.lost.length).toBeGreaterThan(0)
    expect(new Set(a.lost.map(({ lane }) => lane))).toEqual(new Set(lanesOf(b)))
    expect(ids(await receive(b))).toEqual(ids(a.lost))
    expect(new Set(codes(await settle(a, a.lost)))).toEqual(new Set(['LEASE_LOST']))
  })

  test('memory: the lanes of a crashed member stand still until its leases are over, then nothing is overtaken', async () => {
    const spec = keyed(['g'], 1)
    const time = manualClock()
    const options = { name: 'crash-lanes', clock: time.clock, leaseMs: 1000 }
    const dying = await open(spec, options)
    const living = await open(spec, options)
    const a = await member(dying, spec)
    const b = await member(living, spec)
    await send(living, message('1', { key: 'k' }), message('2', { key: 'k' }))
    expect(ids(await receive(a, 1))).toEqual(['1'])
    dying.faults.crash()
    expect(lanesOf(b)).toEqual(['0'])
    expect(await receive(b)).toEqual([])
    time.advance(1000)
    const again = await receive(b)
    expect(ids(again)).toEqual(['1', '2'])
    expect(again.map(({ count }) => count)).toEqual([2, 1])
    expect(a.lost).toEqual([])
  })
})

describe('memory: shared lanes', () => {
  test('memory: without keys members share message by message, and none is told about lanes', async () => {
    const spec = shared()
    const adapter = await open(spec)
    const a = await member(adapter, spec)
    const b = await member(adapter, spec)
    await send(adapter, ...batch(10))
    expect(ids(await receive(a, 4))).toEqual(['0', '1', '2', '3'])
    expect(ids(await receive(b, 4))).toEqual(['4', '5', '6', '7'])
    expect(a.feed.state()).toEqual({ connected: true, lanes: null, buffered: 0 })
  })

  test('memory: none of those who wait is always first', async () => {
    const spec = shared()
    const adapter = await open(spec)
    const members = [await member(adapter, spec), await member(adapter, spec), await member(adapter, spec)]
    const served = [0, 0, 0]
    const stop = new AbortController()
    const waiting = members.map(({ feed }, index) =>
      (async () => {
        while (!stop.signal.aborted) {
          const deliveries = await feed.receive(1, { signal: stop.signal })
          served[index]! += deliveries.length
          await settle({ feed }, deliveries)
        }
      })(),
    )
    for (let index = 0; index < 30; index++) {
      await at.turns()
      await send(adapter, message(`${index}`))
    }
    await at.turns()
    stop.abort()
    await Promise.all(waiting)
    expect(served.reduce((sum, count) => sum + count)).toBe(30)
    expect(Math.min(...served)).toBeGreaterThan(4)
  })
})
