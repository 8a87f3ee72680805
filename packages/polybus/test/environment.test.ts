import { expect, test } from 'vitest'
import { readEnvironment } from '../src/environment.ts'

test('every variable sets its option', () => {
  expect(
    readEnvironment({
      POLYBUS_BROKER: 'kafka://localhost',
      POLYBUS_SERVICE: 'shop',
      POLYBUS_NAMESPACE: 'pr-42',
      POLYBUS_TOPOLOGY: 'verify',
      POLYBUS_CONNECT_TIMEOUT: '5s',
      POLYBUS_GRACE: '1m',
      POLYBUS_DURABILITY: 'strict',
      POLYBUS_PUBLISHING_TIMEOUT: '2s',
      POLYBUS_PUBLISHING_BUFFER_MESSAGES: '100',
      POLYBUS_PUBLISHING_BUFFER_BYTES: '1048576',
      POLYBUS_PUBLISHING_WHEN_FULL: 'drop-oldest',
      POLYBUS_DEFAULTS_CONCURRENCY: '8',
      POLYBUS_DEFAULTS_TIMEOUT: '90s',
      POLYBUS_DEFAULTS_RETRY_ATTEMPTS: '3',
    }),
  ).toEqual({
    broker: 'kafka://localhost',
    service: 'shop',
    namespace: 'pr-42',
    topology: 'verify',
    connectTimeout: '5s',
    grace: '1m',
    durability: 'strict',
    publishing: { timeout: '2s', bufferMessages: 100, bufferBytes: 1_048_576, whenFull: 'drop-oldest' },
    defaults: { concurrency: 8, timeout: '90s', retry: { attempts: 3 } },
  })
})

test('other variables, and empty ones, say nothing', () => {
  expect(readEnvironment({ PATH: '/bin', POLYBUSSY: 'x', POLYBUS_BROKER: '', POLYBUS_GRACE: undefined })).toEqual({})
})

test('what Kubernetes sets beside a service called polybus says nothing', () => {
  expect(
    readEnvironment({
      POLYBUS_SERVICE_HOST: '10.0.0.1',
      POLYBUS_SERVICE_PORT: '80',
      POLYBUS_SERVICE_PORT_HTTP: '80',
      POLYBUS_PORT: 'tcp://10.0.0.1:80',
      POLYBUS_PORT_80_TCP_ADDR: '10.0.0.1',
    }),
  ).toEqual({})
})

test('what the tests of Polybus are told says nothing', () => {
  expect(readEnvironment({ POLYBUS_REQUIRE: 'redis,rabbitmq', POLYBUS_TEST_RUN: 'run-1-0123abcd' })).toEqual({})
})

test.each([
  [{ POLYBUS_BROKR: 'x' }, 'POLYBUS_BROKR: unknown variable. Did you mean POLYBUS_BROKER?'],
  [{ POLYBUS_PUBLISHING_WHENFULL: 'wait' }, 'Did you mean POLYBUS_PUBLISHING_WHEN_FULL?'],
  [{ POLYBUS_CONCURRENCY: '4' }, 'POLYBUS_CONCURRENCY: unknown variable.'],
  [{ POLYBUS_GRACE: '20' }, "POLYBUS_GRACE: '20' is no duration."],
  [{ POLYBUS_GRACE: ' 20s' }, 'POLYBUS_GRACE: '],
  [{ POLYBUS_NAMESPACE: 'Not A Name' }, "POLYBUS_NAMESPACE: 'Not A Name' is no name."],
  [{ POLYBUS_TOPOLOGY: 'maybe' }, "POLYBUS_TOPOLOGY: expected 'create' or 'verify' or 'none', got 'maybe'."],
  [{ POLYBUS_DURABILITY: 'Strict' }, 'POLYBUS_DURABILITY: '],
  [{ POLYBUS_DEFAULTS_RETRY_ATTEMPTS: '-1' }, 'POLYBUS_DEFAULTS_RETRY_ATTEMPTS: expected a whole number from 1'],
  [{ POLYBUS_DEFAULTS_CONCURRENCY: '0' }, 'POLYBUS_DEFAULTS_CONCURRENCY: '],
  [{ POLYBUS_DEFAULTS_CONCURRENCY: '1e3' }, 'POLYBUS_DEFAULTS_CONCURRENCY: '],
  [{ POLYBUS_PUBLISHING_BUFFER_BYTES: '64MiB' }, 'POLYBUS_PUBLISHING_BUFFER_BYTES: '],
  [{ POLYBUS_PUBLISHING_BUFFER_BYTES: '9'.repeat(20) }, 'POLYBUS_PUBLISHING_BUFFER_BYTES: '],
])('%o is refused', (environment, says) => {
  expect(() => readEnvironment(environment)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(says) }),
  )
})
