// What only a real installation shows: which package is found, from where, and what bundlers make of it.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build as esbuild } from 'esbuild'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { installPolybus, type Installed } from './installed.ts'

/** Prints what connect() of this URL makes of it: an adapter that shows its URL, or an error. */
const program = (url: string) => `
  connect({ broker: '${url}' }).then(
    (bus) => bus.close(),
    (error) => error,
  ).then((error) => console.log(JSON.stringify(error ? { code: error.code, message: error.message } : 'connected')))
`
const esm = (url: string) => `import { connect } from 'polybus'\n${program(url)}`
const cjs = (url: string) => `const { connect } = require('polybus')\n${program(url)}`

// Processes are started, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 })

let app: Installed
beforeAll(() => {
  app = installPolybus()
})
afterAll(() => app.remove())

const kafka = (source: string) => {
  const manifest = { name: '@polybus/kafka', version: '0.1.0', type: 'module', exports: './index.js' }
  app.write('node_modules/@polybus/kafka/package.json', JSON.stringify(manifest))
  app.write('node_modules/@polybus/kafka/index.js', source)
}
const working = `export const kafka = ({ url }) => { throw new Error('kafka was asked for ' + url) }`
const asked = { code: 'INVALID_OPTION', message: expect.stringContaining('kafka was asked for kafka://localhost') }
const absent = {
  code: 'ADAPTER_MISSING',
  message: expect.stringMatching(/^connect\(\)\.broker: .*npm install @polybus\/redis /),
}
const say = async (file: string) => JSON.parse(await app.run(file)) as unknown

describe.each([
  ['import', 'mjs', esm],
  ['require()', 'cjs', cjs],
])('a program that takes polybus by %s', (_, ending, source) => {
  const write = (url: string) => app.write(`main.${ending}`, source(url))
  beforeEach(() => kafka(working))

  test('loads an adapter that is installed', async () => {
    write('kafka://localhost')
    expect(await say(`main.${ending}`)).toEqual(asked)
  })

  test('has memory without installing anything', async () => {
    write('memory:')
    expect(await say(`main.${ending}`)).toBe('connected')
  })

  test('learns how to install one that is not', async () => {
    write('redis://localhost')
    expect(await say(`main.${ending}`)).toEqual(absent)
  })

  test.each([
    ['a dependency is missing', `import 'kafkajs'`, 'kafkajs'],
    ['a file is missing', `import './gone.js'`, 'gone.js'],
    ['it throws', `throw new TypeError('boom')`, 'TypeError: boom'],
    ['it is no JavaScript', `export const = 3`, 'SyntaxError'],
    ['it has no factory', `export const other = 3`, 'exports no function kafka()'],
  ])('is not told to install one that is broken: %s', async (_, code, says) => {
    kafka(code)
    write('kafka://localhost')
    expect(await say(`main.${ending}`)).toEqual({
      code: 'ADAPTER_BROKEN',
      message: expect.stringMatching(new RegExp(`@polybus/kafka is installed, but .*${says.replace(/[()]/g, '\\$&')}`)),
    })
  })
})

test('a program ends by itself as soon as its bus is closed', async () => {
  app.write(
    'ends.mjs',
    `import { channel, connect, trust } from 'polybus'
    const hello = channel('hello', { schema: trust() })
    const bus = await connect({ broker: 'memory:' })
    await new Promise((arrived) => bus.subscribe(hello, 'greeter', arrived).then(() => bus.publish(hello, 'x')))
    await bus.stats(hello, 'greeter')
    await bus.close()
    const closed = performance.now()
    process.on('exit', () => console.log(performance.now() - closed))`,
  )
  expect(Number(await app.run('ends.mjs'))).toBeLessThan(1000)
})

// tsc's helper around an import() hides its comments from webpack and Rspack, which then break it or warn.
test('every import() of a name that only running shows stands as it is written, with its comments', () => {
  const files = globSync('node_modules/polybus/{dist/**/*.js,import-module.js}', { cwd: app.directory })
  const imports = files.flatMap((file) => {
    const source = readFileSync(join(app.directory, file), 'utf8')
    return [...source.matchAll(/\bimport\((?!\)).*/g)].map(([call]) => call)
  })
  expect(imports.toSorted()).toEqual([
    expect.stringMatching(/^import\('@polybus\/memory'\)/),
    'import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ specifier)',
  ])
})

describe.each([
  [
    'esbuild, as a module',
    async (entry: string, outfile: string) => {
      const { warnings } = await esbuild({
        entryPoints: [entry],
        outfile,
        bundle: true,
        platform: 'node',
        format: 'esm',
        logLevel: 'silent',
      })
      expect(warnings).toEqual([])
    },
    'mjs',
  ],
  [
    'esbuild, as CommonJS',
    async (entry: string, outfile: string) => {
      const { warnings } = await esbuild({
        entryPoints: [entry],
        outfile,
        bundle: true,
        platform: 'node',
        format: 'cjs',
        logLevel: 'silent',
      })
      expect(warnings).toEqual([])
    },
    'cjs',
  ],
  [
    'rolldown, whose interface is that of Rollup',
    async (input: string, file: string) => {
      const warnings: unknown[] = []
      const bundle = await rolldown({ input, platform: 'node', onLog: (_, log) => warnings.push(log) })
      await bundle.write({ file, format: 'esm', codeSplitting: false })
      await bundle.close()
      expect(warnings).toEqual([])
    },
    'mjs',
  ],
])('a program bundled with %s', (_, bundle, ending) => {
  const build = async (url: string) => {
    app.write('entry.mjs', esm(url))
    await bundle(join(app.directory, 'entry.mjs'), join(app.directory, `bundle.${ending}`))
  }
  beforeEach(() => kafka(working))

  test('is built although adapters are absent, and learns so when it needs one', async () => {
    await build('redis://localhost')
    expect(await say(`bundle.${ending}`)).toEqual(absent)
  })

  test('has memory in itself', async () => {
    await build('memory:')
    expect(await say(`bundle.${ending}`)).toBe('connected')
  })

  test('finds an adapter that is installed beside it', async () => {
    await build('kafka://localhost')
    expect(await say(`bundle.${ending}`)).toEqual(asked)
  })
})
