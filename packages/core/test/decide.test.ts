import { describe, expect, test } from 'vitest'
import { type AttemptResult, decide, type DecidePolicy } from '../src/consume/decide.ts'
import { fixed, RetryAfter, retryPolicy } from '../src/consume/retry.ts'
import { NonRetryable, PolybusError } from '../src/errors.ts'
import type { Retry } from '../src/api.ts'

class Declined extends Error {}
class Gateway extends Error {}
class GatewayTimeout extends Gateway {}

const policy = (retry: Retry | false, over: Partial<DecidePolicy> = {}): DecidePolicy => ({
  retry: retryPolicy(retry, 'retry') as DecidePolicy['retry'],
  wait: 'held',
  deadLetter: true,
  heldBelowMs: 0,
  delayMs: (ms) => ms,
  ...over,
})
const failed = (error: unknown): AttemptResult => ({ kind: 'failed', error })
const three: Retry = { attempts: 3, backoff: fixed('2s') }
const away = new PolybusError('STORE_UNAVAILABLE')

describe('decide: every result', () => {
  const table: readonly [string, AttemptResult, object][] = [
    ['done', { kind: 'done' }, { kind: 'ack', duplicate: false }],
    ['duplicate', { kind: 'duplicate' }, { kind: 'ack', duplicate: true }],
    ['busy', { kind: 'busy' }, { kind: 'postpone', gate: false }],
    ['unavailable', { kind: 'unavailable', error: away }, { kind: 'postpone', gate: true, error: away }],
    ['failed', failed('x'), { kind: 'retry', delayMs: 2000, wait: 'held', error: 'x' }],
    ...(['undecodable', 'invalid', 'delivery-limit', 'no-id'] as const).map(
      (reason): [string, AttemptResult, object] => [
        reason,
        { kind: 'refused', reason, error: 'e' },
        { kind: 'dead-letter', reason, error: 'e' },
      ],
    ),
  ]
  for (const [name, result, outcome] of table)
    test(`of ${name}`, () => {
      expect(decide(result, 1, 0, policy(three))).toMatchObject(outcome)
      if ('reason' in outcome)
        expect(decide(result, 1, 0, policy(three, { deadLetter: false }))).toMatchObject({
          ...outcome,
          kind: 'discard',
        })
    })

  test('a postponement never ends, whatever the attempt', () => {
    for (const attempt of [0, 1, 3, 1000]) {
      expect(decide({ kind: 'busy' }, attempt, 0, policy(false)).kind).toBe('postpone')
      expect(decide({ kind: 'unavailable', error: away }, attempt, 9, policy(false)).kind).toBe('postpone')
    }
  })
  test('the pause for a store that is away grows, up to 5 s', () => {
    const delays = [0, 1, 2, 3, 30].map((troubles) =>
      decide({ kind: 'unavailable', error: away }, 1, troubles, policy(three)),
    )
    expect(delays.map((outcome) => 'delayMs' in outcome && outcome.delayMs)).toEqual([100, 200, 400, 800, 5000])
  })
})

describe('decide: attempts are exact', () => {
  for (const attempts of [1, 2, 5, 30])
    test(`${attempts}`, () => {
      const kinds = Array.from(
        { length: attempts },
        (_, index) => decide(failed('x'), index + 1, 0, policy({ attempts, backoff: fixed('1ms') })).kind,
      )
      expect(kinds.filter((kind) => kind === 'retry')).toHaveLength(attempts - 1)
      expect(kinds.at(-1)).toBe('dead-letter')
      expect(decide(failed('x'), attempts, 0, policy({ attempts }))).toMatchObject({
        reason: 'attempts-exhausted',
      })
    })
  test('a count from elsewhere beyond the limit ends it, never another attempt', () => {
    expect(decide(failed('x'), 9, 0, policy(three)).kind).toBe('dead-letter')
  })
  test('retry: false is one attempt', () => {
    expect(decide(failed('x'), 1, 0, policy(false))).toMatchObject({
      kind: 'dead-letter',
      reason: 'attempts-exhausted',
    })
  })
  test('deadLetter: false discards instead', () => {
    expect(decide(failed('x'), 3, 0, policy(three, { deadLetter: false }))).toMatchObject({
      kind: 'discard',
      reason: 'attempts-exhausted',
    })
    expect(decide(failed('x'), 2, 0, policy(three, { deadLetter: false })).kind).toBe('retry')
  })
})

describe('decide: errors', () => {
  test('NonRetryable ends it at once, rules or not, of a subclass too', () => {
    class Gone extends NonRetryable {}
    const rules = [{ on: [NonRetryable], attempts: 10 }]
    for (const error of [new NonRetryable('no'), new Gone('no')])
      expect(decide(failed(error), 1, 0, policy({ ...three, rules }))).toMatchObject({
        kind: 'dead-letter',
        reason: 'non-retryable',
      })
  })
  test('the first rule that matches counts, in limit and in backoff', () => {
    const rules = [
      { on: [GatewayTimeout], attempts: 5, backoff: fixed('7s') },
      { on: [Gateway], attempts: 2 },
      { on: (error: unknown) => error === 'odd', attempts: 1 },
    ] as const
    const with_ = policy({ ...three, rules })
    expect(decide(failed(new GatewayTimeout()), 4, 0, with_)).toMatchObject({ kind: 'retry', delayMs: 7000 })
    expect(decide(failed(new GatewayTimeout()), 5, 0, with_).kind).toBe('dead-letter')
    expect(decide(failed(new Gateway()), 1, 0, with_)).toMatchObject({ kind: 'retry', delayMs: 2000 })
    expect(decide(failed(new Gateway()), 2, 0, with_).kind).toBe('dead-letter')
    expect(decide(failed('odd'), 1, 0, with_).kind).toBe('dead-letter')
    expect(decide(failed(new Declined()), 2, 0, with_).kind).toBe('retry')
  })
  test('a rule that throws does not match', () => {
    const rules = [{ on: (error: unknown) => (error as { code: { x: string } }).code.x === 'y', attempts: 1 }]
    expect(decide(failed(undefined), 1, 0, policy({ ...three, rules })).kind).toBe('retry')
  })
  test('RetryAfter sets the delay, never the limit', () => {
    expect(decide(failed(new RetryAfter('5m')), 1, 0, policy(three))).toMatchObject({ kind: 'retry', delayMs: 300_000 })
    expect(decide(failed(new RetryAfter('0ms')), 1, 0, policy(three))).toMatchObject({ kind: 'retry', delayMs: 0 })
    expect(decide(failed(new RetryAfter('5m')), 3, 0, policy(three)).kind).toBe('dead-letter')
  })
  for (const [name, delayMs] of [
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['answers NaN', () => NaN],
    ['answers Infinity', () => Infinity],
  ] as const)
    test(`a backoff that ${name} gives way to the default`, () => {
      const outcome = decide(failed('x'), 1, 0, policy({ attempts: 3, backoff: { delayMs } }))
      expect(outcome.kind).toBe('retry')
      const ms = 'delayMs' in outcome ? outcome.delayMs : -1
      expect(ms).toBeGreaterThan(100)
      expect(ms).toBeLessThanOrEqual(200)
    })
  test('a negative backoff is none', () => {
    expect(decide(failed('x'), 1, 0, policy({ attempts: 3, backoff: { delayMs: () => -5 } }))).toMatchObject({
      delayMs: 0,
    })
  })
})

describe('decide: where the wait happens', () => {
  const released = { wait: 'released', heldBelowMs: 1000 } as const
  test('released where so declared and long enough, held below the shortest rung', () => {
    expect(decide(failed('x'), 1, 0, policy(three, released))).toMatchObject({ wait: 'released', delayMs: 2000 })
    expect(decide(failed(new RetryAfter('999ms')), 1, 0, policy(three, released))).toMatchObject({ wait: 'held' })
    expect(decide(failed(new RetryAfter('1000ms')), 1, 0, policy(three, released))).toMatchObject({ wait: 'released' })
  })
  test('held where so declared', () => {
    expect(decide(failed(new RetryAfter('1h')), 1, 0, policy(three))).toMatchObject({ wait: 'held' })
  })
  test('what tests shorten is what counts', () => {
    expect(decide(failed('x'), 1, 0, policy(three, { ...released, delayMs: () => 0 }))).toMatchObject({
      wait: 'held',
      delayMs: 0,
    })
  })
})
