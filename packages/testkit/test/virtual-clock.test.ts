import { expect, test } from 'vitest'
import { virtualClock } from '../src/index.ts'

test('timers run in the order of their times, and time stands at theirs', async () => {
  const { clock, advance } = virtualClock()
  const ran: [string, number][] = []
  clock.timer(200, () => ran.push(['b', clock.now()]))
  clock.timer(100, () => {
    ran.push(['a', clock.now()])
    clock.timer(50, () => ran.push(['inner', clock.now()]))
  })
  clock.timer(300, () => ran.push(['late', clock.now()])).cancel()
  await advance(99)
  expect(ran).toEqual([])
  await advance(1000)
  expect(ran).toEqual([
    ['a', 100],
    ['inner', 150],
    ['b', 200],
  ])
  expect(clock.now()).toBe(1099)
})

test('what is due runs by itself; the wall clock goes along', async () => {
  const time = virtualClock({ startAt: new Date('2030-05-01T00:00:00Z') })
  let ran = false
  time.clock.timer(0, () => (ran = true))
  await time.clock.turn()
  await time.clock.turn()
  expect(ran).toBe(true)
  await time.advance(60_000)
  expect(new Date(time.clock.wall()).toISOString()).toBe('2030-05-01T00:01:00.000Z')
  await expect(time.advance(-1)).rejects.toThrow(/advance/)
})
