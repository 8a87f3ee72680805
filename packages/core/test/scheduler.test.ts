import { describe, expect, test } from 'vitest'
import { createFlight, type Flight, transition } from '../src/consume/flight.ts'
import { FRESH } from '../src/consume/progress.ts'
import { createScheduler } from '../src/consume/scheduler.ts'
import { delivery } from './fake.ts'

const flight = (key?: string): Flight =>
  createFlight({ apply: () => true, wait: () => {}, finish: () => {} }, delivery(), key, 1, FRESH)
const to = (one: Flight, ...events: Parameters<typeof transition>[1][]): void => {
  for (const event of events) one.state = transition(one.state, event) ?? one.state
}

function rig(concurrency: number, calm?: () => boolean) {
  const started: Flight[] = []
  const scheduler = createScheduler(
    concurrency,
    (one) => {
      to(one, 'start')
      started.push(one)
    },
    calm && { calm },
  )
  const finish = (one: Flight): void => {
    to(one, 'settle')
    scheduler.leaveKey(one)
    scheduler.leaveSlot()
  }
  return { started, scheduler, finish }
}

describe('concurrency', () => {
  test('so many at one time, first come first served', () => {
    const { started, scheduler, finish } = rig(2)
    const all = [flight(), flight(), flight(), flight()] as const
    for (const one of all) scheduler.add(one)
    expect(started).toEqual(all.slice(0, 2))
    finish(all[1])
    expect(started).toEqual(all.slice(0, 3))
    expect(scheduler.running).toBe(2)
    expect(scheduler.ready).toBe(1)
  })

  test('a handler that ends at once does not deepen the stack', () => {
    let count = 0
    const scheduler = createScheduler(1, (one) => {
      count++
      to(one, 'start', 'settle')
      scheduler.leaveKey(one)
      scheduler.leaveSlot()
    })
    scheduler.gate(false)
    for (let index = 0; index < 50_000; index++) scheduler.add(flight(index % 2 ? 'k' : undefined))
    scheduler.gate(true)
    expect(count).toBe(50_000)
    expect(scheduler.running).toBe(0)
  })
})

describe('keys', () => {
  test('one at a time, in order; other keys and none go on', () => {
    const { started, scheduler, finish } = rig(10)
    const [a1, a2, a3, b1, none] = [flight('a'), flight('a'), flight('a'), flight('b'), flight()]
    for (const one of [a1, a2, a3, b1, none]) scheduler.add(one)
    expect(started).toEqual([a1, b1, none])
    finish(a1)
    expect(started.at(-1)).toBe(a2)
    finish(a2)
    expect(started.at(-1)).toBe(a3)
    finish(a3)
    const a4 = flight('a')
    scheduler.add(a4)
    expect(started.at(-1)).toBe(a4)
  })

  test('a held retry keeps its key and gives its slot', () => {
    const { started, scheduler } = rig(1)
    const [a1, a2, b1] = [flight('a'), flight('a'), flight('b')]
    for (const one of [a1, a2, b1]) scheduler.add(one)
    to(a1, 'wait')
    scheduler.leaveSlot()
    expect(started).toEqual([a1, b1])
    to(b1, 'settle')
    scheduler.leaveKey(b1)
    scheduler.leaveSlot()
    expect(started).toEqual([a1, b1])
    to(a1, 'requeue')
    scheduler.resume(a1)
    expect(started).toEqual([a1, b1, a1])
    to(a1, 'settle')
    scheduler.leaveKey(a1)
    scheduler.leaveSlot()
    expect(started.at(-1)).toBe(a2)
  })

  test('what was lost while it waited is skipped, wherever in its key it stood', () => {
    const { started, scheduler, finish } = rig(10)
    const [a1, a2, a3, a4] = [flight('a'), flight('a'), flight('a'), flight('a')]
    for (const one of [a1, a2, a3, a4]) scheduler.add(one)
    to(a2, 'lose')
    scheduler.leaveKey(a2)
    to(a3, 'lose')
    scheduler.leaveKey(a3)
    expect(started).toEqual([a1])
    finish(a1)
    expect(started).toEqual([a1, a4])
  })

  test('the key of a lost one that was ready goes to the next', () => {
    const { started, scheduler } = rig(10)
    scheduler.gate(false)
    const [a1, a2] = [flight('a'), flight('a')]
    scheduler.add(a1)
    scheduler.add(a2)
    to(a1, 'lose')
    scheduler.gate(true)
    expect(started).toEqual([a2])
    expect(scheduler.running).toBe(1)
  })

  test('leaving a key twice frees it once', () => {
    const { started, scheduler } = rig(10)
    const [a1, a2, a3] = [flight('a'), flight('a'), flight('a')]
    for (const one of [a1, a2, a3]) scheduler.add(one)
    to(a1, 'settle')
    scheduler.leaveKey(a1)
    scheduler.leaveKey(a1)
    expect(started).toEqual([a1, a2])
  })
})

test('a closed gate starts nothing; what runs may end', () => {
  const { started, scheduler, finish } = rig(5)
  const [one, two] = [flight(), flight()]
  scheduler.add(one)
  scheduler.gate(false)
  scheduler.add(two)
  finish(one)
  expect(started).toEqual([one])
  scheduler.gate(true)
  expect(started).toEqual([one, two])
})

describe('what may be killing its process', () => {
  const suspect = (key?: string, place = 0): Flight => Object.assign(flight(key), { suspect: place })
  test('runs alone, before anything else', () => {
    const { started, scheduler, finish } = rig(3)
    const [a, b, one, two] = [flight(), flight(), suspect(), suspect()]
    scheduler.add(a)
    scheduler.add(one)
    scheduler.add(two)
    scheduler.add(b)
    // It waits for what runs already, and nothing starts meanwhile.
    expect([started, scheduler.suspects]).toEqual([[a], 2])
    finish(a)
    expect([started.length, scheduler.running, scheduler.suspects]).toEqual([2, 1, 1])
    finish(started[1] as Flight)
    expect([started.length, scheduler.running, scheduler.suspects]).toEqual([3, 1, 0])
    expect(new Set(started.slice(1))).toEqual(new Set([one, two]))
    expect(started).not.toContain(b)
    finish(started[2] as Flight)
    expect(started.at(-1)).toBe(b)
  })
  test('the lowest place starts first', () => {
    const { started, scheduler, finish } = rig(3)
    const all = [3, -7, 9, 0, -1].map((place) => suspect(undefined, place))
    scheduler.gate(false)
    for (const one of all) scheduler.add(one)
    scheduler.gate(true)
    while (started.length < all.length) finish(started.at(-1) as Flight)
    expect(started.map((one) => one.suspect)).toEqual([-7, -1, 0, 3, 9])
  })
  test('waits until nothing else is on its way, and holds the others until then', () => {
    let calm = false
    const { started, scheduler, finish } = rig(3, () => calm)
    const [one, other] = [suspect(), flight()]
    scheduler.add(one)
    scheduler.add(other)
    expect(started).toEqual([])
    calm = true
    scheduler.wake()
    expect(started).toEqual([one])
    finish(one)
    expect(started).toEqual([one, other])
  })
  test('keeps the order of its key, and its key', () => {
    const { started, scheduler, finish } = rig(3)
    const [a1, a2, a3] = [suspect('a'), flight('a'), suspect('a')]
    for (const one of [a1, a2, a3]) scheduler.add(one)
    for (const one of [a1, a2, a3]) {
      expect(started.at(-1)).toBe(one)
      finish(one)
    }
  })
  test('one that waits for its next attempt lets the others go on, and runs alone again', () => {
    const { started, scheduler, finish } = rig(3)
    const [one, other, later] = [suspect(), flight(), flight()]
    scheduler.add(one)
    scheduler.add(other)
    to(one, 'wait')
    scheduler.leaveSlot()
    expect(started).toEqual([one, other])
    to(one, 'requeue')
    scheduler.resume(one)
    scheduler.add(later)
    expect(started).toEqual([one, other])
    finish(other)
    expect(started).toEqual([one, other, one])
    finish(one)
    expect(started.at(-1)).toBe(later)
  })
})
