// From a broker URL to the adapter's package, loaded on demand.
import { type Adapter, invalid, nearest, PolybusError, show } from '@polybus/core'
import { importModule } from '#import-module'
import { redactedError } from './redacted.ts'

type Module = Readonly<Record<string, unknown>>
/** Imports a package by its name. Tests give their own. */
export type Load = (name: string) => Promise<Module>

/** Scheme to adapter. The package is `@polybus/<adapter>`, and exports a factory of the adapter's name. */
const ADAPTERS: Readonly<Record<string, string>> = {
  kafka: 'kafka',
  amqp: 'rabbitmq',
  amqps: 'rabbitmq',
  sqs: 'sqs',
  redis: 'redis',
  rediss: 'redis',
  memory: 'memory',
}
/** What people write instead. */
const MEANT: Readonly<Record<string, string>> = { rabbitmq: 'amqp', rabbit: 'amqp', valkey: 'redis', aws: 'sqs' }

export const SCHEMES: readonly string[] = Object.keys(ADAPTERS)

/**
 * The adapter of what `broker` holds: a URL or an adapter object.
 *
 * @param where Names the option in errors: `connect().broker`, `POLYBUS_BROKER` or the file's field.
 * @throws {PolybusError} `INVALID_OPTION`, `ADAPTER_MISSING`, or `ADAPTER_BROKEN` where the package is there but does not load.
 */
export async function adapterOf(broker: unknown, where: string, load: Load = importPackage): Promise<Adapter> {
  if (isAdapter(broker)) return broker
  if (typeof broker !== 'string')
    throw invalid(where, `expected a URL such as 'kafka://localhost:9092' or an adapter object, got ${show(broker)}.`)
  const name = adapterName(broker, where)
  const factory = await loadFactory(name, where, load)
  let made: unknown
  try {
    made = factory(name === 'memory' ? broker : { url: broker })
  } catch (error) {
    if (PolybusError.is(error)) throw PolybusError.is(error, 'INVALID_OPTION') ? invalid(where, error.message) : error
    const cause = redactedError(error)
    throw new PolybusError('INVALID_OPTION', `${where}: ${packageOf(name)} refuses the URL: ${cause.message}`, {
      cause,
    })
  }
  if (!isAdapter(made)) throw broken(name, where, `its ${name}() returned ${show(made)} instead of an adapter`)
  return made
}

const packageOf = (name: string): string => `@polybus/${name}`

/** That it fits this version is checked by core. */
const isAdapter = (value: unknown): value is Adapter =>
  typeof value === 'object' && value !== null && typeof (value as Partial<Adapter>).name === 'string'

function adapterName(url: string, where: string): string {
  // new URL() would refuse several hosts, and its error would show the whole text.
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  const known = scheme !== undefined && Object.hasOwn(ADAPTERS, scheme) ? ADAPTERS[scheme] : undefined
  if (known !== undefined) return known

  const word = scheme ?? (/^[a-z]+$/i.test(url) ? url.toLowerCase() : '')
  const near = (Object.hasOwn(MEANT, word) ? MEANT[word] : undefined) ?? nearest(word, SCHEMES)
  // Without `//` the word before the colon may be a host, or the user of 'user:password@host'.
  const problem = /^[^:]*:\/\//.test(url)
    ? `unknown scheme '${scheme ?? ''}:'`
    : 'expected a URL that starts with a scheme'
  throw invalid(
    where,
    `${problem}.${near ? ` Did you mean '${near}:'?` : ''} Known: ${SCHEMES.map((name) => `${name}:`).join(', ')}.` +
      (near ? '' : ` For another broker give an adapter object.`),
  )
}

type Factory = (options: string | { readonly url: string }) => unknown

async function loadFactory(name: string, where: string, load: Load): Promise<Factory> {
  let module: Module
  try {
    module = await load(packageOf(name))
  } catch (error) {
    if (isMissing(error, packageOf(name))) throw missing(name, where, error)
    const cause = redactedError(error)
    throw broken(name, where, `loading it failed with ${cause.name}: ${cause.message}`, cause)
  }
  const factory = module[name]
  if (typeof factory !== 'function') throw broken(name, where, `it exports no function ${name}()`)
  return factory as Factory
}

/** Memory comes with polybus; the other adapters are for the user to install. */
const importPackage: Load = (name) => (name === '@polybus/memory' ? import('@polybus/memory') : importModule(name))

/**
 * Whether this very package is what could not be found. A package that is there but lacks a dependency, or a file of its
 * own, fails with the same code. The text is alike in Node, Bun, Deno and test runners.
 */
function isMissing(error: unknown, name: string): boolean {
  const text = typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : ''
  return [`'${name}'`, `"${name}"`].some((quoted) =>
    new RegExp(`cannot find (package|module) ${quoted}`, 'i').test(text),
  )
}

const missing = (name: string, where: string, cause: unknown): PolybusError =>
  new PolybusError(
    'ADAPTER_MISSING',
    `${where}: this URL needs the package ${packageOf(name)}, which is not installed. Run: npm install ${packageOf(name)} ` +
      `(a bundled program imports ${name} from it and gives broker: ${name}({ url }) instead of the URL).`,
    { cause },
  )

const broken = (name: string, where: string, what: string, cause?: Error): PolybusError =>
  new PolybusError(
    'ADAPTER_BROKEN',
    `${where}: the package ${packageOf(name)} is installed, but ${what}. ` +
      `Install it anew, in a version that fits polybus: npm install ${packageOf(name)}`,
    cause && { cause },
  )
