import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const cli = fileURLToPath(new URL('../dist/conformance-cli.js', import.meta.url))

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

test('a tier and a size choose; each case has its line; the last line is JSON', { timeout: 30_000 }, async () => {
  const { code, out } = await run('--only', '15,16', '--tier', 'fault', '--size', 'medium', '--progress', '--json')
  expect(code).toBe(0)
  expect(out).toMatch(/\[1\/3\] ✓ 15[acd]/)
  const { adapter, size, passed, failed, cases } = JSON.parse(out.trimEnd().split('\n').at(-1) ?? '') as {
    adapter: string
    size: string
    passed: number
    failed: number
    cases: readonly { id: string; outcome: string }[]
  }
  expect({ adapter, size, passed, failed }).toEqual({ adapter: 'memory', size: 'medium', passed: 3, failed: 0 })
  expect(cases.map(({ id }) => id)).toEqual(['15a', '15c', '15d'])
})

test('options that make no sense end with 2, and say what is expected', async () => {
  for (const [args, text] of [
    [['--size', 'huge'], /--size: expected quick, medium, full/],
    [['--tier', 'top'], /--tier: expected driver, plain, fault/],
    [['--parallel', '0'], /--parallel/],
    [['--adapter', 'nosuch'], /@polybus\/nosuch\/harness/],
  ] as const) {
    const { code, err } = await run(...args)
    expect(code).toBe(2)
    expect(err).toMatch(text)
  }
})

test('--help tells every option', async () => {
  const { code, out } = await run('--help')
  expect(code).toBe(0)
  for (const option of [
    'adapter',
    'harness',
    'only',
    'tier',
    'size',
    'without',
    'progress',
    'json',
    'bail',
    'parallel',
  ])
    expect(out).toContain(`--${option}`)
})
