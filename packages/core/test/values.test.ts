// Durations, options, errors, retries: what users write.
import { describe, expect, test } from 'vitest'
import { runInNewContext } from 'node:vm'
import { inspect } from 'node:util'
import { exponential, fixed, RetryAfter, retryAfterMs, retryPolicy } from '../src/consume/retry.ts'
import { duration, milliseconds, show } from '../src/duration.ts'
import {
  asPolybusError,
  describeError,
  ERRORS,
  isNonRetryable,
  NonRetryable,
  PolybusError,
  redact,
} from '../src/errors.ts'
import { checkKeys, checkName, nearest, optionalChoice, optionalDuration, optionalInteger } from '../src/options.ts'
import { thrown } from './fake.ts'

describe('durations', () => {
  test('units', () => {
    expect((['0ms', '200ms', '1.5s', '2m', '12h', '7d'] as const).map((text) => milliseconds(text, 'x'))).toEqual([
      0, 200, 1500, 120_000, 43_200_000, 604_800_000,
    ])
    expect(duration('20s')).toBe('20s')
  })
  for (const bad of ['', '5', 's', '-1s', '1 s', '1S', '1e3ms', 'Infinitys', '.5s', 5, null, undefined, {}, ['1s']])
    test(`refused: ${JSON.stringify(bad)}`, () => {
      const error = thrown(() => milliseconds(bad as never, 'grace'))
      expect([error.code, error.message.startsWith('grace: ')]).toEqual(['INVALID_OPTION', true])
    })
  test('values in messages are short, and show nothing of their insides', () => {
    expect(show('x'.repeat(100))).toHaveLength(60)
    expect(show({ password: 'x' })).toBe('an object')
    expect([show([1]), show(() => 1), show(5n), show(null), show(undefined), show(1)]).toEqual([
      'an array',
      'a function',
      'a bigint',
      'null',
      'undefined',
      '1',
    ])
    expect(show(`redis://u:${'p'.repeat(80)}@h`)).not.toContain('pp')
  })
})

describe('options', () => {
  test('an unknown key names itself, the nearest and all', () => {
    const error = thrown(() => checkKeys({ concurency: 1 }, ['concurrency', 'timeout'], 'consumer'))
    expect(error.message).toBe(
      "consumer.concurency: unknown option. Did you mean 'concurrency'? Known: concurrency, timeout.",
    )
    expect(nearest('zzzzzz', ['concurrency'])).toBeUndefined()
    for (const value of [null, [], 5, 'x'])
      expect(thrown(() => checkKeys(value as never, [], 'w')).message).toContain('expected an object')
  })
  test('numbers, choices and durations have limits', () => {
    for (const value of [0, -1, 1.5, NaN, '3', Infinity, 11])
      expect(thrown(() => optionalInteger(value, 'n', 1, 10)).message).toMatch(
        /^n: expected a whole number from 1 to 10/,
      )
    expect(optionalInteger(10, 'n', 1, 10)).toBe(10)
    expect(optionalInteger(undefined, 'n', 1)).toBeUndefined()
    expect(thrown(() => optionalChoice<string>('c', 'f', ['a', 'b'])).message).toBe("f: expected 'a' or 'b', got 'c'.")
    expect(thrown(() => optionalDuration('0ms', 'f', 1)).message).toMatch(/^f: must be at least 1 ms/)
  })
  test('names', () => {
    for (const good of ['orders', 'order-events', 'a', '0', 'a_b-c9', 'x'.repeat(32)]) checkName(good, 'n')
    for (const bad of ['', 'Orders', 'a--b', '-a', 'a-', 'a.b', 'a:b', 'a b', 'ü', 'x'.repeat(33), 5, null, undefined])
      expect(thrown(() => checkName(bad, 'n')).code).toBe('INVALID_OPTION')
  })
})

describe('errors', () => {
  test('are recognised across copies of the package, and by code', () => {
    const copy = Object.defineProperty(Object.assign(new Error('x'), { code: 'CLOSED' }), Symbol.for('polybus.error'), {
      value: true,
    })
    expect([PolybusError.is(copy), PolybusError.is(copy, 'CLOSED'), PolybusError.is(copy, 'ABORTED')]).toEqual([
      true,
      true,
      false,
    ])
    expect(
      [undefined, null, 'CLOSED', { code: 'CLOSED' }, new Error('x')].some((value) => PolybusError.is(value)),
    ).toBe(false)
    expect(isNonRetryable(Object.defineProperty({}, Symbol.for('polybus.non-retryable'), { value: true }))).toBe(true)
    expect([isNonRetryable(new NonRetryable('x')), isNonRetryable(new Error('x')), isNonRetryable(null)]).toEqual([
      true,
      false,
      false,
    ])
    expect(retryAfterMs(Object.defineProperty({}, Symbol.for('polybus.retry-after'), { value: 5 }))).toBe(5)
  })
  test('know from the table whether a retry helps, unless told', () => {
    expect([
      new PolybusError('CONNECTION_FAILED').retryable,
      new PolybusError('CLOSED').retryable,
      new PolybusError('CLOSED', 'x', { retryable: true }).retryable,
    ]).toEqual([true, false, true])
    expect(new PolybusError('CLOSED').message).toBe(ERRORS.CLOSED.text)
  })
  test('a PolybusError stays itself; anything else is wrapped with its words', () => {
    const mine = new PolybusError('CLOSED')
    expect(asPolybusError(mine, 'ABORTED')).toBe(mine)
    const wrapped = asPolybusError(new RangeError('far'), 'STORE_UNAVAILABLE')
    expect([wrapped.code, wrapped.message.endsWith('RangeError: far'), wrapped.cause instanceof RangeError]).toEqual([
      'STORE_UNAVAILABLE',
      true,
      true,
    ])
  })
  const weird: [string, unknown, { name: string; message: string }][] = [
    ['undefined', undefined, { name: 'undefined', message: 'undefined' }],
    ['null', null, { name: 'null', message: 'null' }],
    ['a string', 'boom', { name: 'string', message: 'boom' }],
    ['a symbol', Symbol('s'), { name: 'symbol', message: 'Symbol(s)' }],
    ['an object with a message', { message: 'm', name: 'N' }, { name: 'N', message: 'm' }],
    ['an error of another realm', runInNewContext('new TypeError("far")'), { name: 'TypeError', message: 'far' }],
    [
      'an object that cannot be a text',
      Object.create(null),
      { name: 'unknown', message: 'an error that cannot be described' },
    ],
    [
      'a proxy that throws',
      new Proxy(
        {},
        {
          has() {
            throw new Error('no')
          },
        },
      ),
      { name: 'unknown', message: 'an error that cannot be described' },
    ],
    [
      'an error whose message throws',
      Object.defineProperty(new Error('x'), 'message', {
        get() {
          throw new Error('no')
        },
      }),
      { name: 'unknown', message: 'an error that cannot be described' },
    ],
    ['an error with no name', Object.assign(new RangeError('x'), { name: '' }), { name: 'RangeError', message: 'x' }],
  ]
  for (const [what, value, described] of weird)
    test(`described: ${what}`, () => expect(describeError(value)).toEqual(described))

  test('hide credentials, in messages, causes and what consoles show', () => {
    expect(redact('amqps://user:p@ss@host/v and redis://:pw@h')).toBe('amqps://***@host/v and redis://***@h')
    for (const text of [
      'password=hunter2',
      'Authorization: Bearer hunter2',
      '{"apiKey":"hunter2"}',
      'AWS_SECRET_ACCESS_KEY=hunter2',
      'access-token: hunter2',
    ])
      expect(redact(text)).not.toContain('hunter2')
    expect(redact('the token was refused, see https://x.org/a@b')).toContain('refused')
    const error = new PolybusError('CONNECTION_FAILED', 'to kafka://me:hunter2@h', {
      cause: new Error('password=hunter2'),
    })
    expect(inspect(error) + error.message).not.toContain('hunter2')
    expect((error.cause as Error).message).toContain('hunter2')
  })
  test('redacting a long text does not take long', () => {
    const start = performance.now()
    redact('a.b+c-'.repeat(20_000))
    expect(performance.now() - start).toBeLessThan(5000)
  })
})

describe('retries', () => {
  test('exponential: grows by its factor, up to max, with the jitter below', () => {
    const backoff = exponential({ initial: '100ms', max: '2s', factor: 3, jitter: 0.5 })
    for (const [index, full] of [100, 300, 900, 2000, 2000].entries())
      for (let round = 0; round < 50; round++) {
        const ms = backoff.delayMs(index + 1)
        expect(ms).toBeLessThanOrEqual(full)
        expect(ms).toBeGreaterThanOrEqual(full / 2)
      }
    const exact = exponential({ initial: '100ms', max: '1h', jitter: 0 })
    expect([1, 2, 10].map((attempt) => exact.delayMs(attempt))).toEqual([100, 200, 51_200])
    expect(exact.delayMs(5000)).toBe(3_600_000)
    expect(new Set(Array.from({ length: 20 }, () => backoff.delayMs(1))).size).toBeGreaterThan(1)
    expect(fixed('3s').delayMs(7)).toBe(3000)
  })
  test('each wrong option names its field', () => {
    const base = { initial: '1s', max: '2s' } as const
    for (const [given, field] of [
      [{ ...base, factor: 0.5 }, 'factor'],
      [{ ...base, factor: NaN }, 'factor'],
      [{ ...base, jitter: 2 }, 'jitter'],
      [{ ...base, max: '10ms' }, 'max'],
      [{ initial: '1', max: '2s' }, 'initial'],
      [{ ...base, jiter: 1 }, 'jiter'],
    ] as const)
      expect(thrown(() => exponential(given as never)).message).toMatch(new RegExp(`^exponential\\(\\)\\.${field}`))
    for (const [given, field] of [
      [{}, 'attempts'],
      [{ attempts: 0 }, 'attempts'],
      [{ attempts: -1 }, 'attempts'],
      [{ attempts: 2.5 }, 'attempts'],
      [{ attempts: 2, backoff: '1s' }, 'backoff'],
      [{ attempts: 2, wait: 'later' }, 'wait'],
      [{ attempts: 2, rules: [{ on: Error, attempts: 'x' }] }, 'rules[0].attempts'],
      [
        {
          attempts: 2,
          rules: [
            { on: [Error], attempts: 1 },
            { on: 'x', attempts: 1 },
          ],
        },
        'rules[1].on',
      ],
      [{ attempts: 2, rules: [{ on: [5], attempts: 1 }] }, 'rules[0].on'],
      [{ attempts: 2, rules: [{ on: [Error], attempts: 1, backoff: 5 }] }, 'rules[0].backoff'],
      [{ attempts: 2, rule: [] }, 'rule'],
    ] as const) {
      const error = thrown(() => retryPolicy(given as never, 'retry'))
      expect([error.code, error.message.startsWith(`retry.${field}`) || error.message]).toEqual([
        'INVALID_OPTION',
        true,
      ])
    }
    expect(thrown(() => new RetryAfter('soon' as never)).code).toBe('INVALID_OPTION')
  })
  test('false is one attempt, unset is nothing, a rule without backoff takes the common one', () => {
    expect(retryPolicy(false, 'r')?.attempts).toBe(1)
    expect(retryPolicy(undefined, 'r')).toBeUndefined()
    const policy = retryPolicy({ attempts: 2, backoff: fixed('7s'), rules: [{ on: [TypeError], attempts: 1 }] }, 'r')
    expect(policy?.rules[0]?.backoff.delayMs(1)).toBe(7000)
    expect(policy?.rules[0]?.matches(new TypeError('x'))).toBe(true)
    expect(policy?.rules[0]?.matches('x')).toBe(false)
  })
})
