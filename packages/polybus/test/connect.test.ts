import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { createBus } from '@polybus/core'
import { memory } from '@polybus/memory'
import { type Bus, channel, connect, type ConnectOptions, PolybusError, trust } from 'polybus'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { readEnvironment } from '../src/environment.ts'
import { FIELDS } from '../src/fields.ts'

const hello = channel('hello', { schema: trust<{ name: string }>() })
const open = async (options?: ConnectOptions): Promise<Bus> => {
  const bus = await connect(options)
  onTestFinished(() => bus.close())
  return bus
}
const failure = (run: Promise<unknown>) =>
  run.then(
    () => expect.fail('it did not reject'),
    (error: unknown) => error as PolybusError,
  )
/** Subscribes, publishes, and gives what arrived. */
const greet = async (from: Bus, to: Bus = from) => {
  let arrive: (name: string) => void = () => {}
  const arrived = new Promise<string>((resolve) => {
    arrive = resolve
  })
  await to.subscribe(hello, 'greeter', ({ name }) => arrive(name))
  await from.publish(hello, { name: 'world' })
  return arrived
}

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polybus-connect-'))
  vi.spyOn(process, 'cwd').mockReturnValue(directory)
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true })
})

describe('memory: connect() gives a bus that carries messages', () => {
  test('without arguments', async () => {
    await expect(greet(await open())).resolves.toBe('world')
  })

  test('by URL: two buses of one name share a broker', async () => {
    const to = await open({ broker: 'memory:connect-test' })
    await expect(greet(await open({ broker: 'memory:connect-test' }), to)).resolves.toBe('world')
  })

  test('by adapter object', async () => {
    await expect(greet(await open({ broker: memory() }))).resolves.toBe('world')
  })

  test('by environment and by file', async () => {
    vi.stubEnv('POLYBUS_BROKER', 'memory:connect-places')
    const byEnvironment = await open({})
    vi.stubEnv('POLYBUS_BROKER', undefined)
    await writeFile(join(directory, 'polybus.config.json'), '{ "broker": "memory:connect-places" }')
    await expect(greet(await open(), byEnvironment)).resolves.toBe('world')
  })
})

test('connect() without a broker is refused where NODE_ENV is production', async () => {
  vi.stubEnv('NODE_ENV', 'production')
  expect(await failure(connect())).toMatchObject({
    code: 'INVALID_OPTION',
    message: expect.stringContaining('NODE_ENV is production'),
  })
  await expect(greet(await open({ broker: 'memory:' }))).resolves.toBe('world')
})

describe('what is wrong is refused before anything is connected', () => {
  test.each([
    [{ seam: 2 }, 'seam 2'],
    [{ seam: '1' }, "seam '1'"],
    [{ seam: undefined }, 'seam undefined'],
  ])('an adapter with %o is INCOMPATIBLE_ADAPTER', async (wrong, says) => {
    const connected = vi.fn<() => Promise<void>>()
    const adapter = { ...memory(), connect: connected, ...wrong } as unknown as ReturnType<typeof memory>
    const error = await failure(connect({ broker: adapter }))
    expect(error.code).toBe('INCOMPATIBLE_ADAPTER')
    expect(error.message).toContain(says)
    expect(connected).not.toHaveBeenCalled()
  })

  test('an object that is no adapter', async () => {
    const adapter = { name: 'half' } as unknown as ReturnType<typeof memory>
    expect(await failure(connect({ broker: adapter }))).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('connect().broker'),
    })
  })

  test.each([
    [{ grace: '20' }, 'connect().grace'],
    [{ defaults: { retry: { attempts: -1 } } }, 'connect().defaults.retry.attempts'],
    [{ publishing: { whenFull: 'drop' } }, 'connect().publishing.whenFull'],
    [{ broker: 'memory:shop?retentoin=1' }, 'connect().broker: memory:'],
  ])('%o names the option', async (options, field) => {
    expect(await failure(connect(options as ConnectOptions))).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(field),
    })
  })

  test('what only core checks is blamed on the file that says it', async () => {
    await writeFile(
      join(directory, 'polybus.config.mjs'),
      `export default { defaults: { retry: { attempts: 3, rules: [{ on: 5 }] } } }`,
    )
    expect((await failure(connect())).message).toMatch(
      /^polybus\.config\.mjs\.defaults\.retry\.rules\[0\]\.on: expected/,
    )
  })

  test('a failure to connect is not blamed on the file', async () => {
    await writeFile(join(directory, 'polybus.config.mjs'), `export default { broker: globalThis.failing }`)
    const adapter = { ...memory(), connect: () => Promise.reject(new PolybusError('AUTHENTICATION_FAILED')) }
    vi.stubGlobal('failing', adapter)
    onTestFinished(() => void vi.unstubAllGlobals())
    expect((await failure(connect())).code).toBe('AUTHENTICATION_FAILED')
  })
})

// Otherwise an error about a variable would name an option that nobody wrote.
describe.each(FIELDS.filter(({ variable }) => variable !== 'POLYBUS_BROKER'))('$variable', ({ variable, accepts }) => {
  const candidates = ['0', '1', '10001', '1000001', '9007199254740991', '0ms', '1ms', '0.1ms', '400d', 'create', 'none']
  candidates.push('report', 'strict', 'wait', 'reject', 'drop-oldest', 'a-name', 'a'.repeat(33), 'A Text')

  test(`accepts ${accepts}: nothing that core then refuses`, async () => {
    let accepted = 0
    for (const text of candidates) {
      let options: object
      try {
        options = readEnvironment({ [variable]: text })
      } catch {
        continue
      }
      await (await createBus(memory(), options)).close()
      accepted++
    }
    expect(accepted).toBeGreaterThan(0)
    expect(accepted).toBeLessThan(variable === 'POLYBUS_SERVICE' ? Infinity : candidates.length)
  })
})

describe('a password is in nothing that is shown', () => {
  const url = 'kafka://shop:hunter2@broker:9092'
  const everything = (value: unknown) => inspect(value, { depth: Infinity, showHidden: true, getters: true })

  test('of a bus, whatever its adapter holds', async () => {
    const bus = await open({ broker: Object.assign(memory(), { url }) })
    await greet(bus)
    expect(everything(bus)).not.toContain('hunter2')
    expect(everything(bus.health())).not.toContain('hunter2')
    expect(JSON.stringify(bus)).not.toContain('hunter2')
  })

  test('of an error of the client beneath', async () => {
    const cause = Object.assign(new Error(`cannot reach ${url}`), { code: 'ECONNREFUSED', options: { url } })
    const adapter = { ...memory(), connect: () => Promise.reject(cause) }
    const error = await failure(connect({ broker: adapter, connectTimeout: '50ms' }))
    expect(everything(error)).toContain('cannot reach kafka://***@broker')
    expect(everything(error)).not.toContain('hunter2')
  })
})
