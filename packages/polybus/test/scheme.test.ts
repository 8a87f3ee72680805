import type { Adapter } from '@polybus/core'
import { describe, expect, test, vi } from 'vitest'
import { adapterOf, type Load, SCHEMES } from '../src/scheme.ts'

const fake = (name: string) => ({ name, seam: 1 }) as unknown as Adapter
const failure = (run: Promise<unknown>) =>
  run.then(
    () => expect.fail('it did not reject'),
    (error: unknown) => error as Error & { code: string },
  )
const notFound = (name: string) =>
  Object.assign(new Error(`Cannot find package '${name}' imported from /app/node_modules/polybus/dist/scheme.js`), {
    code: 'ERR_MODULE_NOT_FOUND',
  })

describe('a broker URL names its adapter by the scheme', () => {
  test.each([
    ['kafka://h1:9092,h2:9092', 'kafka'],
    ['amqp://localhost', 'rabbitmq'],
    ['amqps://localhost/vhost', 'rabbitmq'],
    ['sqs://eu-central-1', 'sqs'],
    ['redis://localhost:6379/0', 'redis'],
    ['rediss://localhost', 'redis'],
    ['REDIS://localhost', 'redis'],
  ])('%s is made by %s({ url })', async (url, name) => {
    const factory = vi.fn<(options: { url: string }) => Adapter>(() => fake(name))
    const load = vi.fn<Load>(async () => ({ [name]: factory }))
    await expect(adapterOf(url, 'broker', load)).resolves.toEqual(fake(name))
    expect(load).toHaveBeenCalledExactlyOnceWith(`@polybus/${name}`)
    expect(factory).toHaveBeenCalledExactlyOnceWith({ url })
  })

  test.each(['memory:', 'memory:shop', 'memory:?retention=10'])('%s is made by memory(url)', async (url) => {
    const memory = vi.fn<(url: string) => Adapter>(() => fake('memory'))
    await adapterOf(url, 'broker', async () => ({ memory }))
    expect(memory).toHaveBeenCalledExactlyOnceWith(url)
  })

  test('an adapter object is taken as it is, and nothing is loaded', async () => {
    const adapter = fake('mine')
    const load = vi.fn<Load>()
    await expect(adapterOf(adapter, 'broker', load)).resolves.toBe(adapter)
    expect(load).not.toHaveBeenCalled()
  })
})

describe('what is no broker is refused before anything is loaded', () => {
  const load = () => expect.fail('it loads a package')

  test.each([
    ['kafak://localhost', 'kafka:'],
    ['amqpss://localhost', 'amqps:'],
    ['rabbitmq://localhost', 'amqp:'],
    ['valkey://localhost', 'redis:'],
    ['memroy:', 'memory:'],
    ['redis', 'redis:'],
    ['rabbitmq', 'amqp:'],
  ])('%s: did you mean %s', async (url, near) => {
    const { code, message } = await failure(adapterOf(url, 'POLYBUS_BROKER', load))
    expect(code).toBe('INVALID_OPTION')
    expect(message).toMatch(/^POLYBUS_BROKER: /)
    expect(message).toContain(`Did you mean '${near}'?`)
    for (const scheme of SCHEMES) expect(message).toContain(`${scheme}:`)
  })

  test.each(['nats://localhost', 'constructor://x', 'localhost:9092', '', ':', '//host'])(
    "'%s' names the known schemes and guesses nothing",
    async (url) => {
      const { code, message } = await failure(adapterOf(url, 'connect().broker', load))
      expect(code).toBe('INVALID_OPTION')
      expect(message).toMatch(/^connect\(\)\.broker: .*Known: kafka:, amqp:, amqps:, sqs:, redis:, rediss:, memory:/)
      expect(message).not.toContain('Did you mean')
    },
  )

  test.each([[null], [42], [[]], [{}], [() => {}], [{ url: 'kafka://user:hunter2@host' }]])('%o', async (broker) => {
    const { code, message } = await failure(adapterOf(broker, 'connect().broker', load))
    expect(code).toBe('INVALID_OPTION')
    expect(message).toContain('connect().broker: expected a URL')
    expect(message).not.toContain('hunter2')
  })
})

describe('a package that cannot be used', () => {
  const kafka = (load: () => Promise<Record<string, unknown>>) =>
    failure(adapterOf('kafka://localhost', 'connect().broker', load))

  test('is missing: the error has the command that installs it', async () => {
    const cause = notFound('@polybus/kafka')
    const error = await kafka(() => Promise.reject(cause))
    expect(error).toMatchObject({ code: 'ADAPTER_MISSING', cause })
    expect(error.message).toContain('npm install @polybus/kafka ')
  })

  test.each([
    ['a dependency of it is missing', () => Promise.reject(notFound('kafkajs')), 'kafkajs'],
    ['a file of it is missing', () => Promise.reject(notFound('/x/node_modules/@polybus/kafka/dist/index.js')), 'dist'],
    ['it throws', () => Promise.reject(new TypeError('boom')), 'TypeError: boom'],
    ['it throws undefined', () => Promise.reject(undefined), 'undefined'],
    ['it has no factory', () => Promise.resolve({ Kafka: 3 }), 'exports no function kafka()'],
    [
      'its factory makes no adapter',
      () => Promise.resolve({ kafka: () => Promise.resolve() }),
      'instead of an adapter',
    ],
  ])('is there but broken, because %s', async (_, load, says) => {
    const error = await kafka(load)
    expect(error.code).toBe('ADAPTER_BROKEN')
    expect(error.message).toContain('@polybus/kafka is installed, but')
    expect(error.message).toContain(says)
  })
})

test('a factory that refuses the URL names the option', async () => {
  const load = async () => ({
    kafka: () => {
      throw new RangeError('port 99999 is too large')
    },
  })
  const error = await failure(adapterOf('kafka://localhost:99999', 'POLYBUS_BROKER', load))
  expect(error.code).toBe('INVALID_OPTION')
  expect(error.message).toBe('POLYBUS_BROKER: @polybus/kafka refuses the URL: port 99999 is too large')
})
