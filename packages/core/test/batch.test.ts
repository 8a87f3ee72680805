import { describe, expect, test } from 'vitest'
import type { BatchItem, Context } from '../src/api.ts'
import { createBatch } from '../src/consume/batch.ts'
import { deferred, manual, watch } from './fake.ts'

const ctx = (over: Partial<Context<unknown>> = {}): Context<unknown> =>
  ({
    group: 'g',
    attempt: 1,
    lastAttempt: false,
    signal: new AbortController().signal,
    message: { id: 'm' },
    ...over,
  }) as Context<unknown>

function rig(
  max: number,
  waitMs: number,
  concurrency: number,
  handler: (items: readonly BatchItem<unknown>[], signal: AbortSignal) => unknown,
  most = Infinity,
) {
  const time = manual()
  const run = createBatch({
    most: () => most,
    clock: time.clock,
    max,
    waitMs,
    concurrency,
    handler: (items, { signal }) => handler(items, signal),
  })
  return {
    time,
    put: (value: unknown, over?: Partial<Context<unknown>>) => watch(Promise.resolve(run(value, ctx(over)))),
  }
}
const values = (items: readonly BatchItem<unknown>[]): unknown[] => items.map(({ value }) => value)

describe('a batch begins', () => {
  test('when no more can come, at once: half of what there can be, so that the next one gathers meanwhile', async () => {
    const seen: unknown[][] = []
    const { time, put } = rig(100, 1000, 1, (items) => void seen.push(values(items)), 4)
    for (let value = 1; value <= 5; value++) put(value)
    await time.quiet()
    expect(seen).toEqual([
      [1, 2],
      [3, 4, 5],
    ])
    put(6)
    await time.quiet()
    expect(seen).toHaveLength(2)
    await time.advance(1000)
    expect(seen[2]).toEqual([6])
  })
  test('when it is full, at once', async () => {
    const seen: unknown[][] = []
    const { time, put } = rig(3, 1000, 1, (items) => void seen.push(values(items)))
    for (let value = 1; value <= 7; value++) put(value)
    await time.quiet()
    expect(seen).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    await time.advance(1000)
    expect(seen[2]).toEqual([7])
    expect(time.pending).toBe(false)
  })
  test('when the first of it has waited long enough', async () => {
    const seen: unknown[][] = []
    const { time, put } = rig(10, 1000, 1, (items) => void seen.push(values(items)))
    put(1)
    await time.advance(600)
    put(2)
    await time.advance(399)
    expect(seen).toEqual([])
    await time.advance(1)
    expect(seen).toEqual([[1, 2]])
  })
  test('no more of them at a time than configured', async () => {
    const gates = [deferred(), deferred(), deferred()]
    let begun = 0
    const { time, put } = rig(1, 10, 2, () => gates[begun++]?.promise)
    for (let value = 0; value < 3; value++) put(value)
    await time.quiet()
    expect(begun).toBe(2)
    gates[0]?.resolve()
    await time.quiet()
    expect(begun).toBe(3)
  })
})

describe('its items', () => {
  test('succeed with it, but those that were failed', async () => {
    const { time, put } = rig(3, 10, 1, (items) => items[1]?.fail('no'))
    const all = [put(1), put(2), put(3)]
    await time.quiet()
    expect(all.map(({ state }) => state)).toEqual(['resolved', 'rejected', 'resolved'])
    expect(all[1]?.error).toBe('no')
  })
  test('fail with undefined too', async () => {
    const { time, put } = rig(1, 10, 1, (items) => items[0]?.fail(undefined))
    const one = put(1)
    await time.quiet()
    expect(one.state).toBe('rejected')
  })
  for (const [how, handler] of [
    [
      'throws',
      () => {
        throw new Error('boom')
      },
    ],
    ['rejects', () => Promise.reject(new Error('boom'))],
  ] as const)
    test(`all fail where the handler ${how}, and the next batch runs`, async () => {
      const { time, put } = rig(2, 10, 1, handler)
      const all = [put(1), put(2)]
      await time.quiet()
      expect(all.map(({ error }) => error?.message)).toEqual(['boom', 'boom'])
      const next = put(3)
      await time.advance(10)
      expect(next.state).toBe('rejected')
    })
  test('know their message and attempt; the batch aborts with any of them', async () => {
    const gate = deferred()
    const signals: AbortSignal[] = []
    const seen: unknown[] = []
    const { time, put } = rig(2, 10, 1, (items, signal) => {
      signals.push(signal)
      for (const { attempt, message } of items) seen.push([attempt, message.id])
      return gate.promise
    })
    const abort = new AbortController()
    put(1)
    put(2, { attempt: 4, signal: abort.signal, message: { id: 'x' } as never })
    await time.quiet()
    expect(seen).toEqual([
      [1, 'm'],
      [4, 'x'],
    ])
    expect(signals[0]?.aborted).toBe(false)
    abort.abort('lost')
    expect(signals[0]?.reason).toBe('lost')
  })
  test('a handler that looks at the signal late sees what came before; one that never does makes none', async () => {
    const gate = deferred()
    const time = manual()
    let looked = 0
    const seen: unknown[] = []
    const run = createBatch({
      most: () => Infinity,
      clock: time.clock,
      max: 1,
      waitMs: 10,
      concurrency: 2,
      async handler(items, context) {
        await gate.promise
        if (items[0]?.value === 'late') seen.push(context.signal.reason)
      },
    })
    const abort = new AbortController()
    const get = (): AbortSignal => {
      looked++
      return abort.signal
    }
    const all = ['late', 'never'].map(async (value) => run(value, Object.defineProperty(ctx(), 'signal', { get })))
    await time.quiet()
    const before = looked
    abort.abort('lost')
    gate.resolve()
    await Promise.all(all)
    expect(seen).toEqual(['lost'])
    expect([before, looked]).toEqual([0, 1])
  })
})
