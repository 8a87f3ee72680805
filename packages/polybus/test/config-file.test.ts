import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readConfigFile } from '../src/config-file.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polybus-config-'))
})
afterEach(() => rm(directory, { recursive: true }))

const write = (name: string, text: string) => writeFile(join(directory, name), text)
const refusal = () =>
  readConfigFile(directory).then(
    () => expect.fail('it did not reject'),
    (error: unknown) => error as Error & { code: string },
  )

test('no file is no error', async () => {
  await mkdir(join(directory, 'polybus.config.js'))
  await expect(readConfigFile(directory)).resolves.toBeUndefined()
})

describe.each([
  ['polybus.config.json', '{ "broker": "redis://h", "publishing": { "timeout": "2s" } }'],
  ['polybus.config.js', 'module.exports = { broker: "redis://h", publishing: { timeout: "2s" } }'],
  ['polybus.config.mjs', 'export default { broker: "redis://h", publishing: { timeout: "2s" } }'],
  ['polybus.config.ts', 'export default { broker: "redis://h" as string, publishing: { timeout: "2s" } }'],
])('%s', (name, text) => {
  test('is read', async () => {
    await write(name, text)
    await expect(readConfigFile(directory)).resolves.toEqual({
      name,
      settings: { broker: 'redis://h', publishing: { timeout: '2s' } },
    })
  })

  test('is refused with a misspelt key, which is named with the nearest', async () => {
    await write(name, text.replace('timeout', 'timeuot'))
    const { code, message } = await refusal()
    expect(code).toBe('INVALID_OPTION')
    expect(message).toContain(`${name}.publishing.timeuot: unknown option. Did you mean 'timeout'?`)
  })

  test('is refused with a wrong value, which is named by file and field', async () => {
    await write(name, text.replace('2s', 'soon'))
    expect((await refusal()).message).toContain(`${name}.publishing.timeout: 'soon' is no duration.`)
  })

  test('is refused where it is broken, and shows no part of itself', async () => {
    await write(name, text.replace('redis://h', 'redis://user:hunter2@h').replace('{', '{ { '))
    const error = await refusal()
    expect(error.code).toBe('INVALID_OPTION')
    expect(error.message).toContain(`${name}: `)
    expect(error.message).not.toContain('hunter2')
  })
})

test.each([
  ['{ "broker": nope }', "is no JSON: Unexpected token 'o'."],
  ['{\n  broker: 1\n}', "is no JSON: Expected property name or '}' in JSON at position 4 (line 2 column 3)."],
  ['{ "broker": ', 'is no JSON: Unexpected end of JSON input.'],
  ['', 'is no JSON: Unexpected end of JSON input.'],
])('a JSON file with %s says what is wrong', async (text, says) => {
  await write('polybus.config.json', text)
  expect((await refusal()).message).toBe(`polybus.config.json: ${says}`)
})

test('a byte order mark is no mistake', async () => {
  await write('polybus.config.json', '\uFEFF{ "service": "shop" }')
  await expect(readConfigFile(directory)).resolves.toMatchObject({ settings: { service: 'shop' } })
})

test.each([
  ['polybus.config.json', '[]'],
  ['polybus.config.json', 'null'],
  ['polybus.config.json', '"memory:"'],
  ['polybus.config.json', '{ "publishing": 5 }'],
  ['polybus.config.json', '{ "defaults": null }'],
  ['polybus.config.mjs', 'export const broker = "memory:"'],
  ['polybus.config.mjs', 'export default () => ({})'],
  ['polybus.config.mjs', 'throw new Error("on purpose")'],
  ['polybus.config.mjs', 'import "./nowhere.mjs"'],
])('%s with %s is refused', async (name, text) => {
  await write(name, text)
  const error = await refusal()
  expect(error.code).toBe('INVALID_OPTION')
  expect(error.message).toContain(name)
})

test('two files are refused', async () => {
  await write('polybus.config.json', '{}')
  await write('polybus.config.ts', 'export default {}')
  expect((await refusal()).message).toBe('polybus.config.json: polybus.config.ts is there too. Keep one of them.')
})
