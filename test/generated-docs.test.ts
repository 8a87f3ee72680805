import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { root } from './docs-blocks.ts'

test('the generated pages of docs/ say what the code says', { timeout: 20_000 }, async () => {
  const run = promisify(execFile)(process.execPath, ['scripts/generate-docs.mjs', '--check'], { cwd: root })
  expect(await run.catch((error: { stdout: string; stderr: string }) => error)).toMatchObject({
    stdout: '',
    stderr: '',
  })
})
