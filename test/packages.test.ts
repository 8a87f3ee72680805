import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

type Manifest = {
  name: string
  version: string
  private?: boolean
  main: string
  types: string
  exports: Record<string, string | { types: string; default: string }>
  typesVersions: Record<string, Record<string, string[]>>
  bin?: Record<string, string>
  dependencies?: Record<string, string>
}

const workspaces = globSync(
  ['{packages,adapters,examples}/*/package.json', '{bench,scripts/brokers,scripts/chaos}/package.json'],
  {
    cwd: root,
  },
).map((file) => ({
  dir: dirname(join(root, file)),
  manifest: JSON.parse(readFileSync(join(root, file), 'utf8')) as Manifest,
}))
const published = workspaces.filter(({ manifest }) => !manifest.private)
const versions = new Map(workspaces.map(({ manifest }) => [manifest.name, manifest.version]))

/** The names that a module exports, as a fresh Node sees its built files. */
function exportedNames(how: 'import' | 'require', specifier: string): string[] {
  const load =
    how === 'import'
      ? `await import('${specifier}')`
      : `process.getBuiltinModule('module').createRequire('${root}')('${specifier}')`
  const code = `console.log(JSON.stringify(Object.keys(${load}).toSorted()))`
  const out = execFileSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: root, encoding: 'utf8' })
  return JSON.parse(out) as string[]
}

test('the packages are found', () => {
  expect(published.map(({ manifest }) => manifest.name)).toContain('polybus')
})

describe.each(published)('$manifest.name', ({ dir, manifest }) => {
  const { name, main, types, exports, typesVersions, bin = {} } = manifest

  test('names files that exist', () => {
    const targets = Object.values(exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    )
    for (const file of [main, types, ...targets, ...Object.values(bin)])
      expect(existsSync(join(dir, file)), file).toBe(true)
  })

  test('tells old resolvers the same as new ones', () => {
    expect(exports['.']).toEqual({ types, default: main })
    for (const [path, target] of Object.entries(exports)) {
      if (typeof target !== 'string') expect(typesVersions['*']?.[path.replace(/^\.\//, '')]).toEqual([target.types])
    }
  })

  const modules = Object.entries(exports).filter(([, target]) => typeof target !== 'string')

  test.each(modules)('%s is imported and required alike', (path) => {
    const specifier = join(name, path).replaceAll('\\', '/')
    const imported = exportedNames('import', specifier)
    expect(imported).not.toEqual([])
    expect(exportedNames('require', specifier).filter((key) => key !== '__esModule')).toEqual(imported)
  })
})

test.each(workspaces)('$manifest.name depends on the workspaces as they are', ({ manifest }) => {
  for (const [name, range] of Object.entries(manifest.dependencies ?? {})) {
    if (versions.has(name)) expect(range, name).toBe(`^${versions.get(name)}`)
  }
})

test('core depends on nothing but the types of Standard Schema', () => {
  const core = workspaces.find(({ manifest }) => manifest.name === '@polybus/core')
  expect(Object.keys(core?.manifest.dependencies ?? {})).toEqual(['@standard-schema/spec'])
})

test('the lockfile names no registry', () => {
  expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved": "[^"]*:\/\//)
})
