import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

// `npm run types` checks the same files with the TypeScript of this repository.
test('the types of polybus hold in TypeScript 5.9 too', { timeout: 120_000 }, async () => {
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json')
  const tsc = join(dirname(manifest), 'bin/tsc')
  const run = async (...args: string[]) => {
    // A compiler that finds errors writes them to stdout, and ends with 1 or 2.
    const failed = (error: { stdout: string }) => error
    return (await promisify(execFile)(process.execPath, [tsc, ...args]).catch(failed)).stdout.trim()
  }
  expect(await run('--version')).toMatch(/^Version 5\.9\./)
  expect(await run('--pretty', 'false', '-p', join(import.meta.dirname, 'types/tsconfig.typescript-5.json'))).toBe('')
})
