import { expect, test } from 'vitest'
import { memoryStore } from '../src/index.ts'

const timed = (options: Parameters<typeof memoryStore>[0] = {}) => {
  let now = 0
  return { store: memoryStore({ ...options, clock: { now: () => now } }), advance: (ms: number) => (now += ms) }
}
const fenceOf = (claim: ReturnType<ReturnType<typeof memoryStore>['claim']>): unknown => {
  expect(claim.status).toBe('claimed')
  return 'fence' in claim ? claim.fence : undefined
}

test('memory store: the first claims, the second is busy, and after completion all are duplicates; each answers at once', () => {
  const { store } = timed()
  const fence = fenceOf(store.claim('a', 1000))
  expect(store.claim('a', 1000)).toEqual({ status: 'busy' })
  expect(store.complete('a', fence)).toBe(true)
  expect(store.claim('a', 1000)).toEqual({ status: 'duplicate' })
  expect(store.claim('b', 1000).status).toBe('claimed')
})

test('memory store: what was released was never handled', () => {
  const { store } = timed()
  store.release('a', fenceOf(store.claim('a', 1000)))
  expect(store.size).toBe(0)
  expect(store.claim('a', 1000).status).toBe('claimed')
})

test('memory store: after its lease a claim can be taken over, and the old fence is worth nothing', () => {
  const { store, advance } = timed()
  const old = fenceOf(store.claim('a', 1000))
  advance(999)
  expect(store.claim('a', 1000)).toEqual({ status: 'busy' })
  expect(store.renew('a', old, 1000)).toBe(true)
  advance(999)
  expect(store.claim('a', 1000)).toEqual({ status: 'busy' })
  advance(1)
  const fence = fenceOf(store.claim('a', 1000))
  expect(store.complete('a', old)).toBe(false)
  expect(store.renew('a', old, 1000)).toBe(false)
  store.release('a', old)
  expect(store.claim('a', 1000)).toEqual({ status: 'busy' })
  expect(store.complete('a', fence)).toBe(true)
  expect(store.complete('a', fence)).toBe(false)
})

test("memory store: a lease that ran out unnoticed is still its owner's to complete", () => {
  const { store, advance } = timed()
  const fence = fenceOf(store.claim('a', 1000))
  advance(5000)
  expect(store.complete('a', fence)).toBe(true)
  expect(store.claim('a', 1000)).toEqual({ status: 'duplicate' })
})

test('memory store: completed keys are forgotten after their time', () => {
  const { store, advance } = timed({ ttl: '1m' })
  store.complete('a', fenceOf(store.claim('a', 1000)))
  advance(59_999)
  expect(store.claim('a', 1000)).toEqual({ status: 'duplicate' })
  advance(1)
  expect(store.claim('a', 1000).status).toBe('claimed')
})

test('memory store: full, the oldest completed key goes first, and a running claim never', () => {
  const { store } = timed({ max: 3 })
  const running = fenceOf(store.claim('running', 1000))
  for (const key of ['a', 'b', 'c', 'd']) store.complete(key, fenceOf(store.claim(key, 1000)))
  // Three completed ones, and the one that runs.
  expect(store.size).toBeLessThanOrEqual(4)
  expect(store.claim('d', 1000)).toEqual({ status: 'duplicate' })
  expect(store.claim('c', 1000)).toEqual({ status: 'duplicate' })
  expect(store.claim('running', 1000)).toEqual({ status: 'busy' })
  expect(store.claim('a', 1000).status).toBe('claimed')
  expect(store.complete('running', running)).toBe(true)
})

test('memory store: however many keys come, it holds no more than max', () => {
  const { store } = timed({ max: 100 })
  for (let index = 0; index < 5000; index++) {
    store.complete(`k${index}`, fenceOf(store.claim(`k${index}`, 1000)))
    if (index % 50 === 0) store.forget('k1')
    expect(store.size).toBeLessThanOrEqual(100)
  }
})

test("memory store: forget lets a group's keys run again, those too that run at this moment, and no others", () => {
  const { store } = timed()
  store.complete('orders:g:1', fenceOf(store.claim('orders:g:1', 1000)))
  store.complete('orders:h:1', fenceOf(store.claim('orders:h:1', 1000)))
  const running = fenceOf(store.claim('orders:g:2', 1000))
  store.forget('orders:g:')
  expect(store.claim('orders:g:1', 1000).status).toBe('claimed')
  expect(store.claim('orders:h:1', 1000)).toEqual({ status: 'duplicate' })
  expect(store.claim('orders:g:2', 1000)).toEqual({ status: 'busy' })
  expect(store.complete('orders:g:2', running)).toBe(true)
  expect(store.claim('orders:g:2', 1000).status).toBe('claimed')
})

test.each([
  [{ max: 0 }, 'memoryStore().max'],
  [{ ttl: 'soon' }, 'memoryStore().ttl'],
  [{ size: 5 }, 'memoryStore().size'],
])('memory store: %j is refused, and the field is named', (options, field) => {
  expect(() => memoryStore(options as never)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(field) }),
  )
})
