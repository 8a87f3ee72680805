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

function rig(concurrency: number) {
  const started: Flight[] = []
  const scheduler = createScheduler(concurrency, (one) => {
    to(one, 'start')
    started.push(one)
  })
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
