// The schemas of an application's channels, and the registry that a command works on.
import { type AnyChannel, describeError, PolybusError } from '@polybus/core'
import type * as registryTools from '@polybus/schema-registry/tools'
import type { LocalSchemas, RegistryAdmin, Target, Verdict } from '@polybus/schema-registry/tools'
import { definitionsOf, pick } from './channels.ts'
import { type Given, type Io, UsageError } from './command.ts'

/** A schema of a channel, and where it belongs. */
export interface Local {
  readonly channel: string
  readonly own: LocalSchemas
  readonly target: Target
}

/** @throws {UsageError} where the package is not there. */
export async function tools(): Promise<typeof registryTools> {
  try {
    return await import('@polybus/schema-registry/tools')
  } catch (error) {
    const { message } = describeError(error)
    throw new UsageError(
      `@polybus/schema-registry is needed beside @polybus/cli: npm install @polybus/schema-registry. ${message}`,
    )
  }
}

/** Those of the channels that were named, or of all of the file that have any. */
export async function localsOf(given: Given, io: Io, names: readonly string[] = given.args): Promise<readonly Local[]> {
  const file = given.text('channels')
  if (file === undefined)
    throw new UsageError("Whose schemas? Give --channels FILE, which exports the application's channels.")
  const { localSchemasOf } = await tools()
  const { channels } = await definitionsOf(file, io.directory)
  const chosen = names.length === 0 ? channels : names.map((name) => pick(channels, name, file))
  const found = chosen.flatMap((channel) => {
    const own = localSchemasOf(channel['~definition'].codec)
    return own ? targetsOf(channel, own).map((target) => ({ channel: channel.name, own, target })) : []
  })
  const without = names.length > 0 && chosen.find((channel) => !localSchemasOf(channel['~definition'].codec))
  if (without) throw new UsageError(`Channel '${without.name}' has no codec of a schema registry.`)
  if (found.length === 0)
    throw new UsageError(`--channels ${file}: none of its channels has a codec of a schema registry.`)
  const url = given.text('registry')
  if (url === undefined) return found
  const admin = await adminAt(url)
  return found.map((one) => ({ ...one, own: { ...one.own, admin } }))
}

/** A subject that several types share is one. */
function targetsOf(channel: AnyChannel, own: LocalSchemas): readonly Target[] {
  const { known } = channel['~definition']
  const types = known.size > 0 ? [...known] : [undefined]
  try {
    const all = types.flatMap((type) => own.targets({ channel: channel.name, type }))
    const keys = all.map(({ subject, local }) => `${subject}\n${local?.schema ?? ''}`)
    return all.filter((_, index) => keys.indexOf(keys[index] ?? '') === index)
  } catch (error) {
    const { message } = describeError(error)
    throw new UsageError(`Channel '${channel.name}': ${message}`)
  }
}

const adminAt = async (url: string): Promise<RegistryAdmin> => {
  const { registryAdmin } = await tools()
  try {
    return registryAdmin({ url })
  } catch (error) {
    if (!PolybusError.is(error, 'INVALID_OPTION')) throw error
    throw new UsageError(error.message.replace(/^schemaRegistry\(\)\.url/, '--registry'))
  }
}

/** The registry that was said, or else that of the channels. */
export async function adminOf(given: Given, io: Io): Promise<RegistryAdmin> {
  const url = given.text('registry')
  if (url !== undefined) return adminAt(url)
  if (given.text('channels') !== undefined) {
    const [first] = await localsOf(given, io, [])
    if (first) return first.own.admin
  }
  const said = process.env['POLYBUS_REGISTRY']
  if (said !== undefined && said !== '') return adminAt(said)
  throw new UsageError('Which registry? Give --registry URL, POLYBUS_REGISTRY, or --channels FILE whose codecs say it.')
}

/** What the registry says of it; undefined where it has no schema of its own, and writes the latest. */
export async function verdictOf({ own, target }: Local): Promise<Verdict | undefined> {
  const { createJudge } = await tools()
  const { local, subject } = target
  if (!local) return undefined
  try {
    return await createJudge(own.admin)(own.format, subject, local, own.message)
  } catch (error) {
    // One that is none must not hide what is to be said of the others.
    if (!PolybusError.is(error, 'SCHEMA_INVALID')) throw error
    return { subject, status: 'invalid', version: undefined, id: undefined, level: 'NONE', breaks: [error.message] }
  }
}
/** What stands in the way of registering it. */
export const isWrong = (verdict: Verdict | undefined): boolean =>
  verdict?.status === 'incompatible' || verdict?.status === 'invalid'

/** As people read it: JSON in lines, Protobuf as it is. */
export function pretty(schema: string): string {
  try {
    return `${JSON.stringify(JSON.parse(schema), null, 2)}\n`
  } catch {
    return schema.endsWith('\n') ? schema : `${schema}\n`
  }
}

/** How many requests run at one time. */
const AT_ONCE = 8

/** In order, a few at a time. */
export async function* each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): AsyncGenerator<R> {
  for (let from = 0; from < items.length; from += AT_ONCE)
    yield* await Promise.all(items.slice(from, from + AT_ONCE).map(work))
}
