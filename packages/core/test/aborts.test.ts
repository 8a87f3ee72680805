import { expect, test } from 'vitest'
import { heedAbort, type Heeding, heedNoMore } from '../src/aborts.ts'

const heeding = (abort: () => void): Heeding => ({ abort, before: undefined, after: undefined })

test('aborts: who heeds a signal is told once, in order; who heeds no more is not told', () => {
  const controller = new AbortController()
  const { signal } = controller
  const told: string[] = []
  const [a, b, c] = ['a', 'b', 'c'].map((name) => heeding(() => told.push(name))) as [Heeding, Heeding, Heeding]
  for (const one of [a, b, c]) heedAbort(signal, one)
  heedNoMore(signal, b)
  controller.abort()
  expect(told).toEqual(['a', 'c'])
  for (const one of [a, b, c]) heedNoMore(signal, one)
  expect(told).toEqual(['a', 'c'])
})

test('aborts: one that is told may make others heed no more', () => {
  const controller = new AbortController()
  const { signal } = controller
  const told: string[] = []
  const second = heeding(() => told.push('second'))
  heedAbort(
    signal,
    heeding(() => {
      told.push('first')
      heedNoMore(signal, second)
    }),
  )
  heedAbort(signal, second)
  controller.abort()
  expect(told).toEqual(['first'])
})

test('aborts: signals do not touch each other, and heeding none is fine', () => {
  const [one, other] = [new AbortController(), new AbortController()]
  let told = 0
  const waiting = heeding(() => told++)
  heedNoMore(one.signal, waiting)
  heedAbort(one.signal, waiting)
  other.abort()
  expect(told).toBe(0)
  one.abort()
  expect(told).toBe(1)
})
