import { expect, test } from 'vitest'
import { createTimeouts, type Timed } from '../src/consume/timeout.ts'
import { manual } from './fake.ts'

const attempt = (): Timed & { reasons: string[] } => {
  const reasons: string[] = []
  return {
    reasons,
    timedOut: false,
    abort: (reason) => void reasons.push(reason.code),
    dueAt: 0,
    duePrevious: undefined,
    dueNext: undefined,
    dueListed: false,
  }
}

test('aborts at its time, once, and the end then says so', async () => {
  const { clock, advance } = manual()
  const timeouts = createTimeouts(clock, 300)
  const one = attempt()
  timeouts.start(one)
  await advance(299)
  expect(one.reasons).toEqual([])
  await advance(1)
  expect([one.reasons, timeouts.overdue]).toEqual([['HANDLER_TIMEOUT'], 1])
  await advance(10_000)
  expect(timeouts.end(one)).toMatchObject({
    code: 'HANDLER_TIMEOUT',
    message: 'The handler did not finish within 300 ms.',
  })
  expect([one.reasons, timeouts.overdue]).toEqual([['HANDLER_TIMEOUT'], 0])
})
test('in time: no error, no abort, no timer', async () => {
  const time = manual()
  const timeouts = createTimeouts(time.clock, 300)
  const one = attempt()
  timeouts.start(one)
  await time.advance(299)
  expect(timeouts.end(one)).toBeUndefined()
  expect(time.pending).toBe(false)
})
test('each has its own time, and one that stood still begins anew', async () => {
  const { clock, advance } = manual()
  const timeouts = createTimeouts(clock, 300)
  const [one, two] = [attempt(), attempt()]
  timeouts.start(one)
  timeouts.suspend(one)
  timeouts.start(two)
  await advance(200)
  timeouts.start(one)
  await advance(100)
  expect([one.reasons.length, two.reasons.length]).toEqual([0, 1])
  await advance(200)
  expect(one.reasons).toHaveLength(1)
})
