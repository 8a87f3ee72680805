import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { redact } from '@polybus/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resolveOptions } from '../src/resolve.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polybus-secrets-'))
})
afterEach(() => rm(directory, { recursive: true }))

/** All that a log could show of an error: message, stack, properties, causes. */
const everything = (value: unknown) => inspect(value, { depth: Infinity, showHidden: true, getters: true })
const failure = (argument: unknown, environment = {}, load?: () => Promise<Record<string, unknown>>) =>
  resolveOptions(argument as undefined, { environment, directory, load }).then(
    () => expect.fail('it did not reject'),
    (error: unknown) => error,
  )

const url = 'kafka://shop:hunter2@broker:9092'

describe('a password in a broker URL is in no part of an error', () => {
  test.each([
    ['the scheme is unknown', 'kafak://shop:hunter2@broker'],
    ['the scheme is left out', 'shop:hunter2@broker:9092'],
    ['the scheme lacks its slashes', 'kafka2:shop:hunter2@broker'],
    ['it stands before the colon', 'hunter2:@broker:9092'],
    ['the package is missing', url],
  ])('where %s', async (_, broker) => {
    const load = () => Promise.reject(new Error("Cannot find package '@polybus/kafka'"))
    expect(everything(await failure({ broker }, {}, load))).not.toContain('hunter2')
    expect(everything(await failure({}, { POLYBUS_BROKER: broker }, load))).not.toContain('hunter2')
  })

  test('where the factory refuses it', async () => {
    // Node keeps the whole text on the error: `input`.
    const load = async () => ({ kafka: (options: { url: string }) => new URL(`${options.url}:no-port`) })
    const error = await failure({ broker: url }, {}, load)
    expect(everything(error)).toContain('refuses the URL')
    expect(everything(error)).not.toContain('hunter2')
  })

  test('where the factory throws it, with a cause', async () => {
    const load = async () => ({
      kafka: (options: { url: string }) => {
        throw new Error(`cannot use ${options.url}`, { cause: Object.assign(new Error(options.url), options) })
      },
    })
    const error = await failure({ broker: url }, {}, load)
    expect(everything(error)).toContain('cannot use kafka://***@broker')
    expect(everything(error)).not.toContain('hunter2')
  })

  test('where the package breaks', async () => {
    const load = () => Promise.reject(new Error(`environment says ${url}`))
    expect(everything(await failure({ broker: url }, {}, load))).not.toContain('hunter2')
  })
})

describe('a password in a configuration file is in no part of an error', () => {
  test.each([
    ['polybus.config.json', `{ "broker": "${url}", }`],
    ['polybus.config.json', `{ "broker": "${url}" "service": 1 }`],
    ['polybus.config.json', `hunter2`],
    ['polybus.config.json', `{"password":hunter2}`],
    ['polybus.config.mjs', `export default { broker: '${url}' ]`],
    ['polybus.config.mjs', `throw Object.assign(new Error('no: ${url}'), { url: '${url}' })`],
    ['polybus.config.ts', `export default { broker: '${url}' as string ]`],
    ['polybus.config.mjs', `export default { broker: { url: '${url}' } }`],
    ['polybus.config.mjs', `export default { broker: ['${url}'] }`],
    ['polybus.config.mjs', `export default { broker: () => '${url}' }`],
  ])('%s: %s', async (name, text) => {
    await writeFile(join(directory, name), text)
    expect(everything(await failure(undefined))).not.toContain('hunter2')
  })
})

describe('core hides', () => {
  test.each([
    'kafka://shop:hunter2@broker',
    'kafka://shop:hun@hunter2@broker',
    'amqp://shop:hunter2/with/slashes@broker',
    'redis://:hunter2@broker/0',
    'kafka://a:hunter2@h1:9092,b:hunter2@h2:9092',
    'kafka://broker?sasl_password=hunter2',
    'sqs://eu-central-1?secretAccessKey=hunter2&x=1',
    '{"password":"hunter2"}',
    "{ apiKey: 'hunter2' }",
    'pwd=hunter2',
    'passphrase: hunter2',
    'authorization: Bearer hunter2',
    'Authorization: Basic hunter2',
    'access_key=hunter2',
    'PASSWORD=hunter2',
  ])('%s', (text) => {
    expect(redact(text)).not.toContain('hunter2')
  })

  test.each([
    'kafka://broker:9092/x',
    'a key of the order',
    'mail to shop@example.org',
    'the token is gone',
    'key: 42',
  ])('nothing of: %s', (text) => {
    expect(redact(text)).toBe(text)
  })
})
