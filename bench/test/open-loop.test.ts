import { expect, test } from 'vitest'
import { openLoop } from '../src/open-loop.ts'

/** Keeps the loop busy, as a slow call would. */
function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

test('each message is sent once, in order, and none before it is due', async () => {
  const sent: number[] = []
  const early: number[] = []
  const { due } = await openLoop(2000, 100, (index, schedule) => {
    sent.push(index)
    if (performance.now() < schedule.due(index)) early.push(index)
  })
  expect(sent).toEqual(Array.from({ length: 100 }, (_, index) => index))
  expect(early).toEqual([])
  expect(due(20) - due(0)).toBeCloseTo(10, 9)
})

test('who is late is sent at once, and its wait counts from the schedule', async () => {
  const late: number[] = []
  await openLoop(1000, 60, (index, { due }) => {
    late.push(performance.now() - due(index))
    if (index === 10) block(30)
  })
  // Those that were due while the loop was blocked: the first of them waited nearly all of it.
  expect(late[11]).toBeGreaterThan(28)
  expect(late[30]).toBeGreaterThan(9)
  expect(late).toHaveLength(60)
})
