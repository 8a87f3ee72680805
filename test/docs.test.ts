// The documentation holds: its code compiles and does what the page says it prints, and its links lead somewhere.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { anchorsOf, type Block, blocksOf, fences, pages, prose, read, root } from './docs-blocks.ts'

const tested = pages('README.md', 'docs/guide/*.md', 'docs/brokers/*.md')
// Inside the repository, so that packages resolve as they do for a user who installed them.
mkdirSync(join(root, '.cache'), { recursive: true })
const directory = mkdtempSync(join(root, '.cache/docs-'))
const fileOf = ({ at }: Block) => `${at.replaceAll(/[/.:]/g, '-')}.ts`

/** An adapter whose package is not in this repository yet: its examples wait for it. */
const isAhead = ({ code }: Block) =>
  [...code.matchAll(/from '@polybus\/([a-z-]+)'/g)].some(
    ([, name]) => !existsSync(join(root, 'node_modules/@polybus', name ?? '')),
  )
const blocks = tested.flatMap((page) => blocksOf(page)).filter((block) => !isAhead(block))

const run = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
  promisify(execFile)(process.execPath, args, {
    cwd: directory,
    env: { PATH: process.env['PATH'], FORCE_COLOR: '0' },
    timeout: 20_000,
  }).catch((error: Error & { stdout: string; stderr: string }) => ({
    stdout: error.stdout,
    stderr: `${error.message}\n${error.stderr}`,
  }))

beforeAll(() => {
  for (const block of blocks) writeFileSync(join(directory, fileOf(block)), `${block.code}\nexport {}\n`)
  const compilerOptions = {
    noEmit: true,
    composite: false,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    rewriteRelativeImportExtensions: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
    rootDir: '../..',
    tsBuildInfoFile: null,
  }
  const config = { extends: '../../tsconfig.base.json', compilerOptions, include: ['*.ts'] }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }))
})

afterAll(() => rmSync(directory, { recursive: true }))

test('every ts block of the README, the guide and the broker pages compiles', { timeout: 60_000 }, async () => {
  const { stdout, stderr } = await run(
    join(root, 'node_modules/typescript/bin/tsc'),
    '--pretty',
    'false',
    '-p',
    directory,
  )
  const names = new Map(blocks.map((block) => [fileOf(block), block.at]))
  const errors = stdout.replaceAll(/^([\w-]+\.ts)/gm, (file) => names.get(file) ?? file)
  expect({ errors, stderr }).toEqual({ errors: '', stderr: '' })
})

describe.concurrent('every ts block that starts with // runs does so, and prints what the text block behind it says', () => {
  test.each(blocks.filter(({ runs }) => runs))('$at', { timeout: 30_000 }, async (block) => {
    const { stdout, stderr } = await run(fileOf(block))
    expect({ stdout: stdout.trimEnd(), stderr }).toEqual({ stdout: block.prints ?? stdout.trimEnd(), stderr: '' })
  })
})

// These are about what surrounds a program.
const withoutProgram = ['docs/guide/connect.md', 'docs/guide/cli.md']
test.each(tested.filter((page) => !withoutProgram.includes(page)))('%s has an example that runs', (page) => {
  expect(blocksOf(page).some(({ runs }) => runs)).toBe(true)
})

const linking = pages('*.md', 'docs/**/*.md', '{packages,adapters,examples}/*/README.md')

test.each(linking)('links in %s lead to files and headings that exist', (page) => {
  const broken = [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
    if (/^[a-z]+:/.test(link)) return []
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? page : normalize(join(dirname(page), path))
    if (!existsSync(join(root, target))) return [link]
    return anchor === undefined || anchorsOf(read(target)).has(anchor) ? [] : [link]
  })
  expect(broken).toEqual([])
})

test('docs/README.md leads to every page', () => {
  const index = read('docs/README.md')
  // Reports are many; the page of evidence says what they are.
  const missing = pages('docs/**/*.md').filter(
    (page) =>
      page !== 'docs/README.md' &&
      !/^docs\/evidence\/\w+-\d/.test(page) &&
      !index.includes(`](${page.slice('docs/'.length)})`),
  )
  expect(missing).toEqual([])
})

describe('what these tests look at', () => {
  const page = [
    '# A page',
    '',
    '```ts',
    '// runs',
    'console.log(1)',
    '```',
    '',
    '```text',
    '1',
    '```',
    '',
    '```ts',
    'const a = 1',
    '```',
    'see',
    '',
    '```text',
    'x',
    '```',
    '[a](#a-page) `[b](c)`',
  ].join('\n')

  test('blocks with their places and what they print', () => {
    expect(blocksOf('p.md', page)).toEqual([
      { at: 'p.md:3', code: '// runs\nconsole.log(1)', runs: true, prints: '1' },
      { at: 'p.md:12', code: 'const a = 1', runs: false, prints: undefined },
    ])
  })
  test('headings as anchors, and prose without its code', () => {
    expect([...anchorsOf('# A page\n## `x`: what, why?\n## A page')]).toEqual(['a-page', 'x-what-why', 'a-page-1'])
    expect([...prose(page).matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link)).toEqual(['#a-page'])
  })
  test('no fence is left open, and every block says its language', () => {
    for (const path of linking) {
      expect(read(path).match(/^```/gm)?.length ?? 0, path).toBe(fences(read(path)).length * 2)
      expect(
        fences(read(path)).filter(({ info }) => info === 'typescript'),
        path,
      ).toEqual([])
    }
  })
})
