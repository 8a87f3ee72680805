import { describe, expect, test } from 'vitest'
import type { Feed } from '../src/adapter.ts'
import { createStallDetector } from '../src/consume/stall.ts'
import { manual } from './fake.ts'

function rig(backlog: () => Promise<number | null> = () => Promise.resolve(5)) {
  const time = manual()
  const stalls: string[] = []
  let idle = 0
  const state = { free: true }
  const detector = createStallDetector({
    clock: time.clock,
    feed: { backlog } as unknown as Feed,
    free: () => state.free,
    signal: new AbortController().signal,
    onStall: (error) => stalls.push(`${error.code} at ${time.now}`),
    onIdle: () => idle++,
  })
  /** Receives in turn, each empty after a second. */
  const receiving = async (seconds: number, count = 0): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      detector.receiving()
      await time.advance(1000)
      detector.received(count)
    }
  }
  return { time, stalls, state, detector, receiving, idle: () => idle }
}

describe('a stall', () => {
  test('nothing received although there is a backlog: within 30 s', async () => {
    const r = rig()
    await r.receiving(19)
    expect(r.stalls).toEqual([])
    await r.receiving(11)
    expect(r.stalls[0]).toMatch(/^STALLED at 2\d000$/)
  })
  test('a receive that hangs, also while something is held', async () => {
    for (const free of [true, false]) {
      const r = rig(() => Promise.resolve(0))
      r.detector.receiving()
      r.state.free = free
      await r.time.advance(14_999)
      expect(r.stalls).toEqual([])
      await r.time.advance(10_000)
      expect(r.stalls[0]).toBe('STALLED at 15000')
    }
  })
})

describe('no stall', () => {
  test('an empty queue: it is looked at and found idle', async () => {
    const r = rig(() => Promise.resolve(0))
    await r.receiving(60)
    expect(r.stalls).toEqual([])
    expect(r.idle()).toBeGreaterThan(0)
  })
  test('a backlog that cannot be known, or asked for', async () => {
    for (const backlog of [() => Promise.resolve(null), () => Promise.reject(new Error('no'))]) {
      const r = rig(backlog)
      await r.receiving(60)
      expect(r.stalls).toEqual([])
    }
  })
  test('something is received now and then', async () => {
    const r = rig()
    for (let round = 0; round < 5; round++) {
      await r.receiving(15)
      await r.receiving(1, 3)
    }
    expect(r.stalls).toEqual([])
  })
  test('no free places, paused or held: the time begins anew after it', async () => {
    const r = rig()
    r.state.free = false
    await r.receiving(60)
    r.state.free = true
    await r.receiving(15)
    expect(r.stalls).toEqual([])
  })
  test('after its end, and no timer is left', async () => {
    const r = rig()
    await r.receiving(15)
    r.detector.end()
    await r.time.advance(100_000)
    expect(r.stalls).toEqual([])
    expect(r.time.pending).toBe(false)
  })
})
