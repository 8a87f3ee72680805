import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Adapter, ConnectOptions } from '@polybus/core'
import { exponential } from '@polybus/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resolveOptions } from '../src/resolve.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polybus-resolve-'))
})
afterEach(() => rm(directory, { recursive: true }))

const file = (settings: object) => writeFile(join(directory, 'polybus.config.json'), JSON.stringify(settings))
/** Adapters that are called by their URL. */
const load = async (name: string) => ({
  [name.replace('@polybus/', '')]: (made: string | { url: string }) =>
    ({ name: typeof made === 'string' ? made : made.url }) as Adapter,
})
const resolve = async (argument?: ConnectOptions, environment: Record<string, string> = {}) => {
  const { adapter, options } = await resolveOptions(argument, { environment, directory, load })
  return { broker: adapter.name, options }
}

describe('precedence: argument, environment, file', () => {
  const environment = { POLYBUS_BROKER: 'kafka://environment', POLYBUS_GRACE: '2s', POLYBUS_PUBLISHING_TIMEOUT: '2s' }

  test('the environment comes before the file, option by option', async () => {
    await file({ broker: 'redis://file', grace: '3s', service: 'file', publishing: { timeout: '3s', bufferBytes: 3 } })
    await expect(resolve(undefined, environment)).resolves.toEqual({
      broker: 'kafka://environment',
      options: { grace: '2s', service: 'file', publishing: { timeout: '2s', bufferBytes: 3 } },
    })
  })

  test('the argument comes before the environment, option by option', async () => {
    const argument = { broker: 'amqp://argument', publishing: { timeout: '1s', whenFull: 'reject' } } as const
    await expect(resolve(argument, environment)).resolves.toEqual({
      broker: 'amqp://argument',
      options: { grace: '2s', publishing: { timeout: '1s', whenFull: 'reject' } },
    })
  })

  test('an option given as undefined counts as not given', async () => {
    await expect(resolve({ broker: undefined, grace: undefined }, environment)).resolves.toMatchObject({
      broker: 'kafka://environment',
      options: { grace: '2s' },
    })
  })

  test('an argument, an empty one too, means that no file is read', async () => {
    await file({ nonsense: true })
    await expect(resolve({})).resolves.toEqual({ broker: 'memory:', options: {} })
  })

  test('a call without arguments reads the file', async () => {
    await file({ broker: 'redis://file' })
    await expect(resolve()).resolves.toEqual({ broker: 'redis://file', options: {} })
  })

  test('the number of attempts from the environment keeps what else the retry says', async () => {
    await file({ defaults: { retry: { attempts: 9, wait: 'held' } } })
    const { options } = await resolve(undefined, { POLYBUS_DEFAULTS_RETRY_ATTEMPTS: '2' })
    expect(options.defaults).toEqual({ retry: { attempts: 2, wait: 'held' } })
  })

  test('a retry of the argument is not changed by the environment', async () => {
    const environment = { POLYBUS_DEFAULTS_RETRY_ATTEMPTS: '2' }
    const backoff = exponential({ initial: '1s', max: '2s' })
    const given = await resolve({ defaults: { retry: { attempts: 4, backoff } } }, environment)
    expect(given.options.defaults).toEqual({ retry: { attempts: 4, backoff } })
    expect((await resolve({ defaults: { retry: false } }, environment)).options.defaults).toEqual({ retry: false })
  })

  test('objects that users give are handed on as they are, and not changed', async () => {
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const argument = Object.freeze({ logger, publishing: Object.freeze({ bufferBytes: 1 }) })
    const { options } = await resolve(argument, environment)
    expect(options.logger).toBe(logger)
    expect(options.publishing).toEqual({ bufferBytes: 1, timeout: '2s' })
  })
})

describe('without a broker', () => {
  test('the bus lives in memory', async () => {
    await expect(resolve()).resolves.toMatchObject({ broker: 'memory:' })
    await expect(resolve({}, { NODE_ENV: 'test' })).resolves.toMatchObject({ broker: 'memory:' })
  })

  test('it is refused where NODE_ENV is production', async () => {
    await expect(resolve({ service: 'shop' }, { NODE_ENV: 'production' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('connect().broker: none is given.'),
    })
    await file({ service: 'shop' })
    await expect(resolve(undefined, { NODE_ENV: 'production' })).rejects.toMatchObject({
      message: expect.stringContaining('polybus.config.json.broker: none is given.'),
    })
  })

  test.each([
    ['the argument', { broker: 'memory:' }, {}],
    ['the environment', {}, { POLYBUS_BROKER: 'memory:' }],
  ])('memory is there in production where %s asks for it', async (_, argument, environment) => {
    const production = { NODE_ENV: 'production', ...environment }
    await expect(resolve(argument, production)).resolves.toMatchObject({ broker: 'memory:' })
  })
})

describe('errors name the place', () => {
  test.each([
    [{ brokr: 'memory:' }, "connect().brokr: unknown option. Did you mean 'broker'?"],
    [{ publishing: { bufferSize: 1 } }, 'connect().publishing.bufferSize: unknown option.'],
    [{ defaults: { retrys: 1 } }, "connect().defaults.retrys: unknown option. Did you mean 'retry'?"],
    [{ publishing: 5 }, 'connect().publishing: expected an object'],
    [null, 'connect(): expected an object, got null'],
    ['memory:', 'connect(): expected an object'],
    [{ broker: 'kafak://x' }, 'connect().broker: unknown scheme'],
  ])('connect(%o)', async (argument, says) => {
    await expect(resolve(argument as unknown as ConnectOptions)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(says),
    })
  })

  test('a broker of the environment', async () => {
    await expect(resolve({}, { POLYBUS_BROKER: 'kafak://x' })).rejects.toThrow(/^POLYBUS_BROKER: unknown scheme/)
  })

  test('a broker of the file', async () => {
    await file({ broker: 'kafak://x' })
    await expect(resolve()).rejects.toThrow(/^polybus\.config\.json\.broker: unknown scheme/)
  })
})
