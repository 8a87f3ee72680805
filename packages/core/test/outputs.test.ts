import { expect, test } from 'vitest'
import type { Outgoing } from '../src/adapter.ts'
import { createOutputs } from '../src/outputs.ts'
import { wire } from './fake.ts'

const outgoing = (handover: number): Outgoing => ({
  handover,
  message: wire(),
  to: { kind: 'channel', channel: 'results' },
})
const refusal = (run: () => void): unknown => {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

test('what an attempt publishes is kept in its order until it ends, and nothing is added afterwards', () => {
  const outputs = createOutputs()
  outputs.add(outgoing(1), 10)
  outputs.add(outgoing(2), 10)
  expect(outputs.end().map(({ handover }) => handover)).toEqual([1, 2])
  expect(refusal(() => outputs.add(outgoing(3), 10))).toMatchObject({ code: 'ABORTED', sent: 'no' })
  expect(outputs.end()).toHaveLength(2)
})

test('an attempt cannot publish more than a transaction takes, in messages or in bytes', () => {
  const many = createOutputs()
  for (let n = 0; n < 10_000; n++) many.add(outgoing(n), 1)
  expect(refusal(() => many.add(outgoing(0), 1))).toMatchObject({ code: 'BUFFER_FULL', sent: 'no', retryable: false })
  const large = createOutputs()
  large.add(outgoing(1), 32 * 2 ** 20)
  expect(refusal(() => large.add(outgoing(2), 1))).toMatchObject({ code: 'BUFFER_FULL' })
})
