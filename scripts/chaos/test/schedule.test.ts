import { expect, test } from 'vitest'
import { type Fault, type Plan, randomOf, scheduleOf } from '../src/schedule.ts'

const plan: Plan = { seed: 42, durationMs: 120_000, kills: true, store: 'server', publishers: 2, consumers: 3 }
const kindsOf = (faults: readonly Fault[], lane: Fault['lane']) =>
  faults.filter((fault) => fault.lane === lane).map(({ kind }) => kind)

test('the same seed gives the same schedule, another one another', () => {
  expect(scheduleOf(plan)).toEqual(scheduleOf({ ...plan }))
  expect(scheduleOf({ ...plan, seed: 43 })).not.toEqual(scheduleOf(plan))
})

test('a schedule that was written down once is still that of its seed', () => {
  // What a report's seed stands for: who changes this, makes old seeds mean something else.
  expect(scheduleOf({ ...plan, durationMs: 20_000 })).toMatchInlineSnapshot(`
    [
      {
        "atMs": 4677,
        "forMs": 0,
        "kind": "cut",
        "lane": "broker",
        "target": 0,
      },
      {
        "atMs": 7227,
        "forMs": 2729,
        "kind": "kill-broker",
        "lane": "broker",
        "target": 0,
      },
      {
        "atMs": 11975,
        "forMs": 873,
        "kind": "kill-publisher",
        "lane": "publishers",
        "target": 1,
      },
      {
        "atMs": 12661,
        "forMs": 1405,
        "kind": "pause",
        "lane": "broker",
        "target": 0,
      },
      {
        "atMs": 12863,
        "forMs": 1461,
        "kind": "kill-consumer",
        "lane": "consumers",
        "target": 1,
      },
      {
        "atMs": 13315,
        "forMs": 3119,
        "kind": "store-away",
        "lane": "store",
        "target": 0,
      },
      {
        "atMs": 14597,
        "forMs": 2000,
        "kind": "swallow-answers",
        "lane": "broker",
        "target": 0,
      },
    ]
  `)
})

test('two minutes have every kind of fault, several times, within the time and in its order', () => {
  for (let seed = 0; seed < 200; seed++) {
    const faults = scheduleOf({ ...plan, seed })
    expect(faults).toEqual(faults.toSorted((a, b) => a.atMs - b.atMs))
    for (const { atMs, target, lane } of faults) {
      expect(atMs).toBeGreaterThanOrEqual(2000)
      expect(atMs).toBeLessThan(plan.durationMs - 1500)
      const most = { publishers: 2, consumers: 3, broker: 0, store: 0 }[lane]
      expect(target).toBeGreaterThanOrEqual(most === 0 ? 0 : 1)
      expect(target).toBeLessThanOrEqual(most)
    }
    for (const kind of ['kill-broker', 'pause', 'cut', 'swallow-answers'] as const)
      expect(kindsOf(faults, 'broker').filter((one) => one === kind).length).toBeGreaterThanOrEqual(2)
    expect(kindsOf(faults, 'publishers').length).toBeGreaterThanOrEqual(5)
    expect(kindsOf(faults, 'consumers').length).toBeGreaterThanOrEqual(5)
    expect(kindsOf(faults, 'store').length).toBeGreaterThanOrEqual(4)
  }
})

test('twenty seconds have every kind once', () => {
  const faults = scheduleOf({ ...plan, durationMs: 20_000 })
  expect(kindsOf(faults, 'broker').toSorted()).toEqual(['cut', 'kill-broker', 'pause', 'swallow-answers'])
  for (const lane of ['publishers', 'consumers', 'store'] as const)
    expect(kindsOf(faults, lane).length).toBeGreaterThan(0)
})

test('a broker that may not be killed is refused instead', () => {
  const kinds = kindsOf(scheduleOf({ ...plan, kills: false }), 'broker')
  expect(kinds).not.toContain('kill-broker')
  expect(kinds).toContain('refuse')
})

test('what happens to the processes does not shift what happens to the broker', () => {
  const others = scheduleOf({ ...plan, consumers: 7, publishers: 1 }).filter(({ lane }) => lane === 'broker')
  expect(others).toEqual(scheduleOf(plan).filter(({ lane }) => lane === 'broker'))
})

test('random numbers are even: a tenth of them in each tenth', () => {
  const random = randomOf('any')
  const tenths = Array.from({ length: 10 }, () => 0)
  for (let count = 0; count < 100_000; count++) tenths[Math.floor(random() * 10)]! += 1
  for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(500)
})
