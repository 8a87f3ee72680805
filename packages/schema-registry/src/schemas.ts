// What the registry has said, kept: a schema by its id is for ever, the latest of a subject for a while, a failure for a moment.
// However many ask for the same at one time, the registry is asked once.
import type { Clock, MaybePromise } from '@polybus/core'
import type { RegistrySettings } from './options.ts'
import { bodyOf, createWhole, schemaIdOf, textOf } from './references.ts'
import type { Rest } from './rest.ts'
import type { Schema, SchemaText } from './schema.ts'

export interface Registered {
  readonly id: number
  readonly schema: Schema
}

export interface Schemas {
  byId(id: number): MaybePromise<Schema>
  latest(subject: string): MaybePromise<Registered>
  /** Its id, where exactly this schema is registered under the subject. */
  find(subject: string, schema: SchemaText): MaybePromise<Registered>
  /** With all that it refers to. */
  whole(schema: SchemaText): Promise<Schema>
  /** As {@link Schemas.find}, and registers it where it is not. */
  register(subject: string, schema: SchemaText): MaybePromise<Registered>
}

/** Far more than anybody has; a flood of invented ids must not fill the memory. */
const KEPT = 10_000

export function createSchemas(
  rest: Rest,
  { failureTtlMs, latestTtlMs }: Pick<RegistrySettings, 'failureTtlMs' | 'latestTtlMs'>,
  clock: Pick<Clock, 'now'>,
): Schemas {
  const kept = createKept(clock, failureTtlMs)
  const whole = createWhole(rest)
  const registered = async (said: unknown, text = textOf(said)): Promise<Registered> => {
    const id = schemaIdOf(said)
    const schema = await whole(text)
    // Whoever reads it need not ask again.
    kept.put(`id ${id}`, schema)
    return { id, schema }
  }

  return {
    whole,
    byId: (id) =>
      kept.get(`id ${id}`, Infinity, async () => whole(textOf(await rest.call('GET', ['schemas', 'ids', String(id)])))),
    latest: (subject) =>
      kept.get(`latest ${subject}`, latestTtlMs, async () =>
        registered(await rest.call('GET', ['subjects', subject, 'versions', 'latest'])),
      ),
    find: (subject, schema) =>
      kept.get(`find ${subject}\n${textKey(schema)}`, Infinity, async () =>
        registered(await rest.call('POST', ['subjects', subject], bodyOf(schema)), schema),
      ),
    register: (subject, schema) =>
      kept.get(`register ${subject}\n${textKey(schema)}`, Infinity, async () =>
        registered(await rest.call('POST', ['subjects', subject, 'versions'], bodyOf(schema)), schema),
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
interface Kept {
  get<T>(key: string, ttlMs: number, load: () => Promise<T>): MaybePromise<T>
  /** For ever, or until there are too many. */
  put(key: string, value: unknown): void
}

function createKept(clock: Pick<Clock, 'now'>, failureTtlMs: number): Kept {
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
  const get = <T>(key: string, ttlMs: number, load: () => Promise<T>): MaybePromise<T> => {
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
  return {
    get,
    put(key, value) {
      const entry = entryOf(key)
      entry.value = value
      entry.until = Infinity
    },
  }
}

const textKey = ({ type, schema, references }: SchemaText): string => `${type} ${schema} ${JSON.stringify(references)}`
