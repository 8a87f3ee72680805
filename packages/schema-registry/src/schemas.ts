// What the registry has said, kept: a schema by its id is for ever, the latest of a subject for a while, a failure for a moment.
// However many ask for the same at one time, the registry is asked once.
import { type Clock, type MaybePromise, PolybusError } from '@polybus/core'
import type { RegistrySettings } from './options.ts'
import type { Rest } from './rest.ts'

export type SchemaType = 'AVRO' | 'JSON' | 'PROTOBUF'

/** Another schema that this one names, and where it is registered. */
export interface Reference {
  readonly name: string
  readonly subject: string
  readonly version: number
}
/** A schema as the registry takes and gives it. */
export interface SchemaText {
  readonly type: SchemaType
  readonly schema: string
  readonly references: readonly Reference[]
}
/** With all that it refers to, those first that are referred to. */
export interface Schema extends SchemaText {
  readonly needs: readonly (SchemaText & { readonly name: string })[]
}
export interface Registered {
  readonly id: number
  readonly schema: Schema
}

export interface Schemas {
  byId(id: number): MaybePromise<Schema>
  latest(subject: string): MaybePromise<Registered>
  /** Its id, where exactly this schema is registered under the subject. */
  find(subject: string, schema: SchemaText): MaybePromise<Registered>
  /** As {@link Schemas.find}, and registers it where it is not. */
  register(subject: string, schema: SchemaText): MaybePromise<Registered>
}

/** Far more than anybody has; a flood of invented ids must not fill the memory. */
const KEPT = 10_000
/** Schemas that refer to each other in a circle end here. */
const MAX_DEPTH = 50

interface Answer {
  readonly id?: number
  readonly schema?: string
  readonly schemaType?: SchemaType
  readonly references?: readonly Reference[]
}

export function createSchemas(
  rest: Rest,
  { failureTtlMs, latestTtlMs }: Pick<RegistrySettings, 'failureTtlMs' | 'latestTtlMs'>,
  clock: Pick<Clock, 'now'>,
): Schemas {
  const kept = createKept(clock, failureTtlMs)

  const whole = async (text: SchemaText): Promise<Schema> => ({ ...text, needs: await needsOf(text.references) })
  const needsOf = async (
    references: readonly Reference[],
    seen = new Set<string>(),
    depth = 0,
  ): Promise<Schema['needs']> => {
    if (depth > MAX_DEPTH)
      throw new PolybusError('SCHEMA_INVALID', `References go deeper than ${MAX_DEPTH}: they lead in a circle.`)
    const needs: (SchemaText & { name: string })[] = []
    for (const { name, subject, version } of references) {
      const key = `${subject}\n${version}\n${name}`
      if (seen.has(key)) continue
      seen.add(key)
      const found = textOf(await ask('GET', ['subjects', subject, 'versions', String(version)]))
      needs.push(...(await needsOf(found.references, seen, depth + 1)), { ...found, name })
    }
    return needs
  }
  const ask = async (...args: Parameters<Rest['call']>): Promise<Answer> => (await rest.call(...args)) as Answer
  const registered = async (answer: Answer, text = textOf(answer)): Promise<Registered> => {
    const { id } = answer
    if (typeof id !== 'number') throw new PolybusError('REGISTRY_UNAVAILABLE', 'The registry answered without an id.')
    return { id, schema: await whole(text) }
  }

  return {
    byId: (id) =>
      kept(`id ${id}`, Infinity, async () => whole(textOf(await ask('GET', ['schemas', 'ids', String(id)])))),
    latest: (subject) =>
      kept(`latest ${subject}`, latestTtlMs, async () =>
        registered(await ask('GET', ['subjects', subject, 'versions', 'latest'])),
      ),
    find: (subject, schema) =>
      kept(`find ${subject}\n${textKey(schema)}`, Infinity, async () =>
        registered(await ask('POST', ['subjects', subject], bodyOf(schema)), schema),
      ),
    register: (subject, schema) =>
      kept(`register ${subject}\n${textKey(schema)}`, Infinity, async () =>
        registered(await ask('POST', ['subjects', subject, 'versions'], bodyOf(schema)), schema),
      ),
  }
}

interface Entry {
  value: unknown
  until: number
  running: Promise<unknown> | undefined
  /** What it failed with last, until then. */
  failure: { readonly error: unknown; readonly until: number } | undefined
}
type Keep = <T>(key: string, ttlMs: number, load: () => Promise<T>) => MaybePromise<T>

function createKept(clock: Pick<Clock, 'now'>, failureTtlMs: number): Keep {
  const entries = new Map<string, Entry>()
  const entryOf = (key: string): Entry => {
    const known = entries.get(key)
    if (known) return known
    const entry: Entry = { value: undefined, until: -1, running: undefined, failure: undefined }
    entries.set(key, entry)
    // The oldest ones; those that are being asked for stay.
    for (const [other, { running }] of entries) {
      if (entries.size <= KEPT) break
      if (!running && other !== key) entries.delete(other)
    }
    return entry
  }
  return <T>(key: string, ttlMs: number, load: () => Promise<T>): MaybePromise<T> => {
    const entry = entryOf(key)
    const { value, until, running, failure } = entry
    if (value !== undefined && clock.now() < until) return value as T
    // What is old is better than to wait, or than nothing: it is asked for beside.
    if (running) return value === undefined ? (running as Promise<T>) : (value as T)
    if (failure && clock.now() < failure.until)
      return value === undefined ? Promise.reject(failure.error) : (value as T) // oxlint-disable-line typescript/prefer-promise-reject-errors -- as it was
    const asked = load().then(
      (loaded) => {
        entry.value = loaded
        entry.until = clock.now() + ttlMs
        entry.running = entry.failure = undefined
        return loaded
      },
      (error: unknown) => {
        entry.running = undefined
        entry.failure = { error, until: clock.now() + failureTtlMs }
        throw error
      },
    )
    entry.running = asked
    if (value === undefined) return asked
    asked.catch(() => {})
    return value as T
  }
}

function textOf({ schema, schemaType = 'AVRO', references = [] }: Answer): SchemaText {
  if (typeof schema !== 'string')
    throw new PolybusError('REGISTRY_UNAVAILABLE', 'The registry answered without a schema: look at its url.')
  return { type: schemaType, schema, references }
}

const bodyOf = ({ type, schema, references }: SchemaText): object => ({
  schema,
  ...(type !== 'AVRO' && { schemaType: type }),
  ...(references.length > 0 && { references }),
})

const textKey = ({ type, schema, references }: SchemaText): string => `${type} ${schema} ${JSON.stringify(references)}`
