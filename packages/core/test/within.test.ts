import { expect, test } from 'vitest'
import { PolybusError } from '../src/errors.ts'
import { within } from '../src/within.ts'
import { manual } from './fake.ts'

const never = () => new Promise<never>(() => {})

test("a caller's abort is told as ABORTED with its reason; an error of ours stays as it is", async () => {
  const { clock } = manual()
  const abort = new AbortController()
  const work = within(clock, 1000, never, abort.signal)
  abort.abort('enough')
  await expect(work).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
  const closed = new PolybusError('CLOSED')
  await expect(within(clock, 1000, never, AbortSignal.abort(closed))).rejects.toBe(closed)
  await expect(within(clock, 1000, never, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' })
})
