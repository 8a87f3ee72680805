// Options are refused by name, at start.
import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import { rabbitmq, type RabbitmqOptions } from '../src/index.ts'

const refusal = (options: unknown): string => {
  try {
    rabbitmq(options as RabbitmqOptions)
  } catch (error) {
    if (PolybusError.is(error, 'INVALID_OPTION')) return error.message
    throw error
  }
  return 'accepted'
}

test('rabbitmq: options that are right are accepted', () => {
  expect(rabbitmq({}).name).toBe('rabbitmq')
  expect(refusal('amqp://u:p@host:5672/v?heartbeatMs=2000')).toBe('accepted')
  expect(
    refusal({
      channels: {
        'legacy-orders': {
          exchange: { name: 'erp', type: 'topic' },
          routingKey: 'orders.#',
          groups: { email: { queue: 'erp-email', arguments: { 'x-queue-type': 'classic' } } },
        },
      },
    }),
  ).toBe('accepted')
})

test.each([
  [{ url: 'amqp://h', heartbeat: 5 }, /rabbitmq\(\)\.heartbeat: unknown option. Did you mean 'heartbeatMs'/],
  [{ heartbeatMs: 1500 }, /rabbitmq\(\)\.heartbeatMs: expected whole seconds/],
  [{ heartbeatMs: 0 }, /rabbitmq\(\)\.heartbeatMs/],
  [{ commandTimeoutMs: 1 }, /rabbitmq\(\)\.commandTimeoutMs/],
  [{ partitions: 0 }, /rabbitmq\(\)\.partitions/],
  [{ url: 'http://h' }, /rabbitmq\(\)\.url: unknown scheme 'http:'/],
  [{ url: 'amqp://h/a/b' }, /rabbitmq\(\)\.url: .*%2F/],
  ['amqp://h?heartbeat=5', /amqp: URL, heartbeat: unknown option/],
  [{ channels: { UP: {} } }, /rabbitmq\(\)\.channels\.UP/],
  [{ channels: { c: { exchange: { type: 'topic' } } } }, /channels\.c\.exchange\.name: is missing/],
  [{ channels: { c: { exchange: { name: 'x', type: 'queue' } } } }, /channels\.c\.exchange\.type/],
  [{ channels: { c: { queue: 'x' } } }, /channels\.c\.queue: unknown option/],
  [{ channels: { c: { groups: { g: { bindings: 'x' } } } } }, /groups\.g\.bindings: expected an array/],
  [
    { channels: { c: { groups: { g: { bindings: [{ key: 'x' }] } } } } },
    /groups\.g\.bindings\[0\]\.key: unknown option/,
  ],
  [{ client: {} }, /rabbitmq\(\)\.client: expected a function/],
  [{ client: () => {}, url: 'amqp://h' }, /rabbitmq\(\)\.client: stands for url and socket/],
  [{ channels: { c: { envelope: 'fields' } } }, /channels\.c\.envelope: expected 'cloudevents', 'none' or/],
  [{ channels: { c: { envelope: { id: 5 } } } }, /channels\.c\.envelope\.id: expected a function/],
  [{ channels: { c: { envelope: { keys: () => {} } } } }, /channels\.c\.envelope\.keys: unknown option/],
  [{ channels: { c: { trustMessageId: 1 } } }, /channels\.c\.trustMessageId: expected true or false/],
])('rabbitmq: %j is refused by name', (options, text) => {
  expect(refusal(options)).toMatch(text)
})

test('rabbitmq: a refused URL never shows its password', () => {
  expect(refusal('amqp://user:hunter2@ho st')).not.toContain('hunter2')
  expect(refusal('amqp://user:hunter2@h/a/b')).not.toContain('hunter2')
})
