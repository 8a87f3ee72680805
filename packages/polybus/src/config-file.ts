// polybus.config.{json,js,mjs,ts} of a directory, as options of connect().
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { invalid, PolybusError, show } from '@polybus/core'
import { importModule } from '#import-module'
import { FIELDS } from './fields.ts'
import { redactedError } from './redacted.ts'
import { checkSettings, get, type Settings } from './settings.ts'

export const CONFIG_FILES: readonly string[] = ['json', 'js', 'mjs', 'ts'].map((ending) => `polybus.config.${ending}`)

export interface ConfigFile {
  /** Without its directory. */
  readonly name: string
  readonly settings: Settings
}

/**
 * Reads the configuration file of a directory, if there is one. Two are refused: neither is the obvious one.
 *
 * @throws {PolybusError} `INVALID_OPTION` naming the file, and the field where it is one.
 */
export async function readConfigFile(directory: string): Promise<ConfigFile | undefined> {
  const found = await Promise.all(CONFIG_FILES.map((name) => isFile(join(directory, name), name)))
  const [name, second] = CONFIG_FILES.filter((_, index) => found[index])
  if (name === undefined) return undefined
  if (second !== undefined) throw invalid(name, `${second} is there too. Keep one of them.`)
  const path = join(directory, name)
  const settings = name.endsWith('.json') ? await readJson(path, name) : await importDefault(path, name)
  checkSettings(settings, name)
  for (const { path, check } of FIELDS) {
    const value = get(settings, path)
    if (value !== undefined) check(value, [name, ...path].join('.'))
  }
  return { name, settings }
}

async function isFile(path: string, name: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw unreadable(name, error)
  }
}

async function readJson(path: string, name: string): Promise<object> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw unreadable(name, error)
  })
  try {
    return JSON.parse(text.replace(/^\uFEFF/, '')) as object
  } catch (error) {
    // The parser's message quotes the file, and the file may hold a password: only what comes before is passed on.
    const [text = '"'] = String((error as Error).message).split(/, (?:\.\.\.)?"/)
    throw invalid(name, `is no JSON${text.includes('"') ? '' : `: ${text}`}.`)
  }
}

async function importDefault(path: string, name: string): Promise<object> {
  let module: { readonly default?: unknown }
  try {
    module = await importModule(pathToFileURL(path).href)
  } catch (error) {
    throw unreadable(name, error)
  }
  if (typeof module.default !== 'object' || module.default === null)
    throw invalid(name, `expected \`export default { … }\` with the options of connect(), got ${show(module.default)}.`)
  return module.default
}

function unreadable(name: string, error: unknown): PolybusError {
  const cause = redactedError(error)
  return new PolybusError('INVALID_OPTION', `${name}: cannot be loaded. ${cause.name}: ${cause.message}`, { cause })
}
