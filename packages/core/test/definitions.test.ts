// Channels and consumers: each wrong option names its field.
import { describe, expect, test } from 'vitest'
import type { ConsumerDefinition } from '../src/consume/consumer.ts'
import { channel, consumer, trust, types } from '../src/index.ts'
import { thrown } from './fake.ts'

const handler = (): void => {}
const orders = channel('orders', { schema: trust<{ id: string }>(), groups: ['email', 'charge'] })
const events = channel('events', { schema: types({ placed: trust<{ id: string }>(), paid: trust<number>() }) })
const rejected = (run: () => unknown): [string, string] => {
  const { code, message } = thrown(run)
  return [code, message]
}

describe('channel', () => {
  const wrong: [string, unknown, string][] = [
    ['no options', undefined, "channel 'c'"],
    ['an unknown one', { schema: trust(), shema: 1 }, "channel 'c'.shema"],
    ['no schema', {}, "channel 'c'.schema"],
    ['a schema that is none', { schema: { parse: handler } }, "channel 'c'.schema"],
    [
      'a schema of another version',
      { schema: { '~standard': { version: 2, validate: handler } } },
      "channel 'c'.schema",
    ],
    ['a key that is no function', { schema: trust(), key: 'id' }, "channel 'c'.key"],
    ['an empty type', { schema: trust(), type: '' }, "channel 'c'.type"],
    ['a type that is a number', { schema: trust(), type: 5 }, "channel 'c'.type"],
    ['groups that are no list', { schema: trust(), groups: 'email' }, "channel 'c'.groups"],
    ['a wrong group', { schema: trust(), groups: ['E-Mail'] }, "channel 'c'.groups"],
    ['a group twice', { schema: trust(), groups: ['a', 'a'] }, "channel 'c'.groups"],
    ['a codec that is none', { schema: trust(), codec: JSON }, "channel 'c'.codec"],
    ['null for a codec', { schema: trust(), codec: null }, "channel 'c'.codec"],
    ['no partitions', { schema: trust(), partitions: 0 }, "channel 'c'.partitions"],
    ['negative bytes', { schema: trust(), maxBytes: -1 }, "channel 'c'.maxBytes"],
    ['version 0', { schema: trust(), version: 0 }, "channel 'c'.version"],
    ['steps that lead nowhere', { schema: trust(), upcast: { 1: handler } }, "channel 'c'.upcast"],
    ['a step too far', { schema: trust(), version: 2, upcast: { 2: handler } }, "channel 'c'.upcast"],
    ['a step that is none', { schema: trust(), version: 2, upcast: { 1: 'v2' } }, "channel 'c'.upcast[1]"],
    [
      'a step that is missing',
      { schema: trust(), version: 4, upcast: { 1: handler, 3: handler } },
      "channel 'c'.upcast[2]",
    ],
  ]
  for (const [what, options, field] of wrong)
    test(`refused: ${what}`, () => {
      const [code, message] = rejected(() => channel('c', options as never))
      expect([code, message.startsWith(field) || message]).toEqual(['INVALID_OPTION', true])
    })
  test('a wrong name', () => expect(rejected(() => channel('Or.ders', { schema: trust() }))[0]).toBe('INVALID_OPTION'))
  test('types() needs one', () => expect(rejected(() => types({}))[0]).toBe('INVALID_OPTION'))
  test('defaults', () => {
    expect(channel('c', { schema: trust() })['~definition']).toMatchObject({
      spec: { name: 'c', keyed: false, groups: [], maxBytes: 262_144, partitions: undefined },
      variants: false,
      dataSchema: undefined,
    })
    expect(channel('c-d', { schema: trust(), version: 2 })['~definition'].dataSchema).toBe('urn:polybus:c-d:v2')
    expect(channel('c', { schema: trust() })['~definition'].type(1)).toBe('c')
    expect(channel('c', { schema: trust<string>(), type: (value) => `t.${value}` })['~definition'].type('x')).toBe(
      't.x',
    )
    expect(events['~definition'].type({ type: 'paid', data: 1 })).toBe('paid')
  })
  test('groups that change later do not change the channel', () => {
    const groups = ['a']
    const made = channel('c', { schema: trust(), groups })
    groups.push('b')
    expect([made.groups, made['~definition'].spec.groups]).toEqual([['a'], ['a']])
  })
})

describe('consumer', () => {
  const wrong: [string, unknown, string][] = [
    ['nothing', undefined, "consumer 'orders/email'"],
    ['an unknown option', { handler, concurency: 1 }, "consumer 'orders/email'.concurency"],
    ['no handler', { concurrency: 1 }, "consumer 'orders/email'"],
    ['two ways to run', { handler, batch: { max: 1, wait: '1s', handler } }, "consumer 'orders/email'"],
    ['a handler that is none', { handler: 5 }, "consumer 'orders/email'.handler"],
    ['concurrency 0', { handler, concurrency: 0 }, "consumer 'orders/email'.concurrency"],
    ['a time-out of nothing', { handler, timeout: '0ms' }, "consumer 'orders/email'.timeout"],
    ['a time-out without unit', { handler, timeout: 30 }, "consumer 'orders/email'.timeout"],
    ['negative attempts', { handler, retry: { attempts: -1 } }, "consumer 'orders/email'.retry.attempts"],
    ['retry: true', { handler, retry: true }, "consumer 'orders/email'.retry"],
    ['deadLetter that is a text', { handler, deadLetter: 'no' }, "consumer 'orders/email'.deadLetter"],
    ['a store that is none', { handler, idempotency: new Map() }, "consumer 'orders/email'.idempotency"],
    ['an idempotencyKey that is none', { handler, idempotencyKey: 'id' }, "consumer 'orders/email'.idempotencyKey"],
    ['exactly-once', { handler, delivery: 'exactly-once' }, "consumer 'orders/email'.delivery"],
    ['from the middle', { handler, from: 'middle' }, "consumer 'orders/email'.from"],
    ['middleware that is none', { handler, use: [5] }, "consumer 'orders/email'.use"],
    ['middleware that is no list', { handler, use: handler }, "consumer 'orders/email'.use"],
    ['a batch without max', { batch: { wait: '1s', handler } }, "consumer 'orders/email'.batch"],
    ['a batch of 0', { batch: { max: 0, wait: '1s', handler } }, "consumer 'orders/email'.batch.max"],
    [
      'a batch with an unknown option',
      { batch: { max: 1, wait: '1s', handler, size: 5 } },
      "consumer 'orders/email'.batch.size",
    ],
    ['on without types()', { on: { placed: handler } }, "consumer 'orders/email'.on"],
    ['unknownTypes without types()', { handler, unknownTypes: 'ignore' }, "consumer 'orders/email'.unknownTypes"],
    ['other unknownTypes', { handler, unknownTypes: 'drop' }, "consumer 'orders/email'.unknownTypes"],
  ]
  for (const [what, options, field] of wrong)
    test(`refused: ${what}`, () => {
      const [code, message] = rejected(() => consumer(orders, 'email', options as never))
      expect([code, message.startsWith(field) || message]).toEqual(['INVALID_OPTION', true])
    })
  test('a group that the channel does not declare, with the nearest', () => {
    const [code, message] = rejected(() => consumer(orders, 'emial' as 'email', handler))
    expect([code, message.includes("Did you mean 'email'?")]).toEqual(['UNKNOWN_GROUP', true])
    consumer(events, 'any-group', handler)
  })
  test('a channel that is none', () =>
    expect(rejected(() => consumer({} as never, 'x', handler))[0]).toBe('INVALID_OPTION'))

  describe('on', () => {
    const run = (on: unknown) =>
      (consumer(events, 'g', { on } as never)['~run'] as ConsumerDefinition).run as {
        handler: (value: unknown, ctx: unknown) => unknown
      }
    test('goes by type; * takes the rest', () => {
      const { handler: dispatch } = run({
        placed: (data: { id: string }) => `placed ${data.id}`,
        '*': (data: unknown) => `rest ${String(data)}`,
      })
      expect(dispatch({ type: 'placed', data: { id: 'a' } }, {})).toBe('placed a')
      expect(dispatch({ type: 'paid', data: 5 }, {})).toBe('rest 5')
    })
    test('a type without a handler, or with undefined for one, is refused, never silently acknowledged', () => {
      expect(rejected(() => run({ placed: handler }))[1]).toContain('no handler for paid')
      expect(rejected(() => run({ placed: handler, paid: undefined }))[1]).toContain('no handler for paid')
      expect(run({ placed: handler, paid: undefined, '*': () => 'rest' }).handler({ type: 'paid', data: 1 }, {})).toBe(
        'rest',
      )
    })
    test('an unknown type or a handler that is none', () => {
      expect(rejected(() => run({ placed: handler, paied: handler, paid: handler }))[1]).toContain(
        "Did you mean 'paid'?",
      )
      expect(rejected(() => run({ placed: 5, paid: handler }))[1]).toContain("on['placed']")
    })
  })
})
