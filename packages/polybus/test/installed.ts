// A folder with polybus as npm would install it: copies of what is published, and nothing of this repository around it.
import { execFile } from 'node:child_process'
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '../../..')
const packages: Readonly<Record<string, string>> = {
  polybus: 'packages/polybus',
  '@polybus/core': 'packages/core',
  '@polybus/memory': 'adapters/memory',
}

export interface Installed {
  readonly directory: string
  /** Writes a file; folders are made. */
  write(path: string, text: string): void
  /** Runs a file of the folder with Node, and gives what it printed. */
  run(path: string, environment?: Record<string, string>): Promise<string>
  remove(): void
}

export function installPolybus(): Installed {
  const directory = mkdtempSync(join(tmpdir(), 'polybus-installed-'))
  for (const [name, folder] of Object.entries(packages)) {
    const from = join(root, folder)
    const { files } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as { files: string[] }
    const names = files.flatMap((file) => (file.startsWith('!') ? [] : globSync(file, { cwd: from })))
    for (const file of ['package.json', ...names])
      cpSync(join(from, file), join(directory, 'node_modules', name, file), { recursive: true })
  }
  return {
    directory,
    write(path, text) {
      mkdirSync(dirname(join(directory, path)), { recursive: true })
      writeFileSync(join(directory, path), text)
    },
    async run(path, environment = {}) {
      const { stdout } = await promisify(execFile)(process.execPath, [join(directory, path)], {
        cwd: directory,
        env: { PATH: process.env['PATH'], ...environment },
        timeout: 20_000,
      })
      return stdout
    },
    remove: () => rmSync(directory, { recursive: true }),
  }
}
