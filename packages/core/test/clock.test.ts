import { describe, expect, test } from 'vitest'
import { createClock, sleep, systemClock } from '../src/clock.ts'
import { manual } from './fake.ts'

describe('clock', () => {
  test('timers run in the order of their time, those of one time in the order of their making', async () => {
    const { clock, advance } = manual()
    const ran: string[] = []
    for (const [delay, name] of [
      [30, 'd'],
      [10, 'b1'],
      [20, 'c'],
      [10, 'b2'],
      [0, 'a'],
      [10, 'b3'],
    ] as const)
      clock.timer(delay, () => ran.push(name))
    await advance(9)
    expect(ran).toEqual(['a'])
    await advance(21)
    expect(ran).toEqual(['a', 'b1', 'b2', 'b3', 'c', 'd'])
  })

  test('many timers, some cancelled: the rest run in order, once each', async () => {
    const time = manual()
    const { clock, advance } = time
    const ran: number[] = []
    let seed = 7
    const random = (): number => (seed = (seed * 16807) % 2147483647)
    const kept: number[] = []
    for (let index = 0; index < 500; index++) {
      const at = random() % 1000
      const timer = clock.timer(at, () => ran.push(at))
      if (random() % 3 === 0) timer.cancel()
      else kept.push(at)
    }
    await advance(1000)
    expect(ran).toEqual([...kept].sort((a, b) => a - b))
    expect(time.pending).toBe(false)
  })

  test('a cancelled timer does not run, and cancelling twice or after the run is harmless', async () => {
    const { clock, advance } = manual()
    let ran = 0
    const timer = clock.timer(5, () => ran++)
    timer.cancel()
    timer.cancel()
    const other = clock.timer(5, () => ran++)
    await advance(5)
    other.cancel()
    await advance(100)
    expect(ran).toBe(1)
  })

  test('a timer of no delay that is made by a timer waits for the next wake', () => {
    let now = 0
    const clock = createClock({ now: () => now, wall: () => now, arm: () => {} })
    let rounds = 0
    const again = (): void => {
      rounds++
      clock.timer(0, again)
    }
    clock.timer(0, again)
    clock.wake()
    expect(rounds).toBe(1)
    clock.wake()
    expect(rounds).toBe(2)
    now = 1
    clock.wake()
    expect(rounds).toBe(3)
  })

  test('one that throws does not stop the others', () => {
    let armed: number | undefined
    const clock = createClock({ now: () => 10, wall: () => 0, arm: (delay) => (armed = delay) })
    let ran = false
    clock.timer(0, () => {
      throw new Error('boom')
    })
    clock.timer(0, () => {
      ran = true
    })
    armed = undefined
    expect(() => clock.wake()).toThrow('boom')
    expect(armed).toBe(0)
    clock.wake()
    expect(ran).toBe(true)
  })

  test('the source is armed for the first timer alone, and released when there is none', () => {
    const armed: (number | undefined)[] = []
    const clock = createClock({ now: () => 0, wall: () => 0, arm: (delay) => armed.push(delay) })
    clock.timer(50, () => {})
    const first = clock.timer(20, () => {})
    clock.timer(70, () => {})
    expect(armed).toEqual([50, 20])
    first.cancel()
    expect(clock.nextAt()).toBe(50)
    expect(armed).toEqual([50, 20])
  })

  test('a negative delay is none', async () => {
    const { clock, advance } = manual()
    let ran = false
    clock.timer(-5, () => (ran = true))
    await advance(0)
    expect(ran).toBe(true)
  })

  test('the system clock: a timer beyond what setTimeout holds does not fire at once', async () => {
    const clock = systemClock()
    let fired = false
    const long = clock.timer(2 ** 31 + 1000, () => (fired = true))
    await new Promise<void>((resolve) => {
      clock.timer(2, resolve)
    })
    await clock.turn()
    expect(fired).toBe(false)
    long.cancel()
  })

  test('sleep ends after its delay or with its signal, and leaves nothing behind', async () => {
    const time = manual()
    const { clock, advance, quiet } = time
    const abort = new AbortController()
    let ended = 0
    void sleep(clock, 100, abort.signal).then(() => ended++)
    void sleep(clock, 100).then(() => ended++)
    await quiet()
    expect(ended).toBe(0)
    abort.abort()
    await quiet()
    expect(ended).toBe(1)
    await advance(100)
    expect(ended).toBe(2)
    expect(clock.now()).toBe(100)
    expect(time.pending).toBe(false)
    await sleep(clock, 1e9, AbortSignal.abort())
  })
})
