// A value that is changed by hand, or field by field.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Io, UsageError } from './command.ts'

export function parseValue(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new UsageError(`${where} is no JSON: ${(error as Error).message}`)
  }
}

/** `a.b=1` set in a value: JSON, or else text. */
export function assign(value: unknown, assignment: string): unknown {
  const [, path = '', text = ''] = /^([^=]+)=(.*)$/s.exec(assignment) ?? []
  if (path === '') throw new UsageError(`--set ${assignment}: expected PATH=JSON, such as customer=c-42.`)
  const names = path.split('.')
  const last = names.pop() ?? ''
  let target = value
  for (const name of names) target = own(target, name)
  if (!isObject(target)) throw new UsageError(`--set ${assignment}: there is no object at '${names.join('.')}'.`)
  Object.defineProperty(target, last, { value: jsonOrText(text), enumerable: true, writable: true, configurable: true })
  return value
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const own = (value: unknown, name: string): unknown =>
  isObject(value) && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/** Undefined where it was left as it was. @throws {UsageError} where it is no JSON any more: the text is kept. */
export async function fromEditor(before: string, io: Io): Promise<unknown> {
  const editor = process.env['VISUAL'] || process.env['EDITOR']
  if (!editor && io.stdin.isTTY !== true)
    throw new UsageError('There is no terminal for an editor: give --value or --set, or set EDITOR.')
  const folder = await mkdtemp(join(tmpdir(), 'polybus-edit-'))
  const file = join(folder, 'value.json')
  await writeFile(file, `${before}\n`, { mode: 0o600 })
  const code = await edit(editor || 'vi', file)
  const after = await readFile(file, 'utf8')
  if (code !== 0) throw new UsageError(`The editor ended with ${code}: nothing was done. The text is kept in ${file}.`)
  try {
    if (after.trim() === before.trim()) return undefined
    return parseValue(after, `The edited value (kept in ${file})`)
  } finally {
    if (after.trim() === before.trim() || isJson(after)) await rm(folder, { recursive: true })
  }
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** As git does: the variable may hold options too, so a shell reads it. */
function edit(editor: string, file: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const windows = process.platform === 'win32'
    const child = windows
      ? spawn(`${editor} "${file}"`, { shell: true, stdio: 'inherit' })
      : spawn('sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}
