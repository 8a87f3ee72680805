// Confluent's Python client in a virtual environment of its own, made once for a user.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const PACKAGES = ['confluent-kafka[avro,json,protobuf,schemaregistry]==2.16.1', 'grpcio-tools==1.85.1']
const LIMIT_MS = 5 * 60_000

/** The python that has it. Rejects where there is no python3, or the packages cannot be had. */
export async function pythonWithClient(): Promise<string> {
  const folder = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'polybus', 'confluent-kafka-2.16.1')
  const python = (of: string): string => join(of, 'bin', 'python')
  if (existsSync(python(folder))) return python(folder)
  const draft = `${folder}.${process.pid}`
  mkdirSync(dirname(folder), { recursive: true })
  try {
    await run('python3', ['-m', 'venv', draft], { timeout: LIMIT_MS })
    await run(python(draft), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PACKAGES], {
      timeout: LIMIT_MS,
    })
    renameSync(draft, folder)
  } catch (error) {
    // Another process was faster.
    if (!existsSync(python(folder))) throw error
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  return python(folder)
}
