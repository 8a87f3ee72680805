// What tools ask of a registry, never from a cache.
import { PolybusError } from '@polybus/core'
import { answerOf, bodyOf, createWhole, schemaIdOf, textOf } from './references.ts'
import type { Rest } from './rest.ts'
import type { Schema, SchemaText } from './schema.ts'

export type Level =
  | 'NONE'
  | 'BACKWARD'
  | 'BACKWARD_TRANSITIVE'
  | 'FORWARD'
  | 'FORWARD_TRANSITIVE'
  | 'FULL'
  | 'FULL_TRANSITIVE'

export interface Version {
  readonly subject: string
  readonly version: number
  readonly id: number
  readonly schema: Schema
}
export interface RegistryAdmin {
  subjects(): Promise<readonly string[]>
  /** Empty where there is no such subject. */
  versions(subject: string): Promise<readonly number[]>
  version(subject: string, version: number | 'latest'): Promise<Version>
  /** Where exactly this schema is registered; undefined where it is not. */
  find(subject: string, schema: SchemaText): Promise<{ readonly version: number; readonly id: number } | undefined>
  /** The subject's own compatibility level, or else that of the registry. */
  level(subject: string): Promise<Level>
  /** Whether it may be the next version, beside the latest one or `all` of them. `messages`: why not, where the registry says so. */
  compatible(
    subject: string,
    schema: SchemaText,
    beside: 'latest' | 'all',
  ): Promise<{ readonly compatible: boolean; readonly messages: readonly string[] }>
  /** Resolves with its id. */
  register(subject: string, schema: SchemaText): Promise<number>
  /** With all that it refers to. */
  whole(schema: SchemaText): Promise<Schema>
}

export function createAdmin(rest: Rest): RegistryAdmin {
  const whole = createWhole(rest)
  /** The registry says that there is none. */
  const ifAny = async <T>(asked: Promise<T>): Promise<T | undefined> => {
    try {
      return await asked
    } catch (error) {
      if (PolybusError.is(error, 'SCHEMA_NOT_REGISTERED')) return undefined
      throw error
    }
  }
  return {
    whole,
    subjects: async () =>
      listOf(await rest.call('GET', ['subjects']))
        .map(String)
        .toSorted(),
    versions: async (subject) =>
      listOf((await ifAny(rest.call('GET', ['subjects', subject, 'versions']))) ?? []).map(Number),
    async version(subject, version) {
      const said = await rest.call('GET', ['subjects', subject, 'versions', String(version)])
      return {
        subject,
        version: answerOf(said).version ?? 0,
        id: schemaIdOf(said),
        schema: await whole(textOf(said)),
      }
    },
    async find(subject, schema) {
      const found = await ifAny(rest.call('POST', ['subjects', subject], bodyOf(schema)))
      return found === undefined ? undefined : { version: answerOf(found).version ?? 0, id: schemaIdOf(found) }
    },
    async level(subject) {
      type Config = { readonly compatibilityLevel?: Level }
      const own = (await ifAny(rest.call('GET', ['config', subject]))) as Config | undefined
      const { compatibilityLevel } = own ?? ((await rest.call('GET', ['config'])) as Config)
      return compatibilityLevel ?? 'NONE'
    },
    async compatible(subject, schema, beside) {
      const path = ['compatibility', 'subjects', subject, 'versions', ...(beside === 'all' ? [] : ['latest'])]
      const said = (await ifAny(rest.call('POST', path, bodyOf(schema), 'verbose=true'))) as
        | { readonly is_compatible?: boolean; readonly messages?: readonly string[] }
        | undefined
      // What is not there yet breaks nobody.
      return { compatible: said?.is_compatible ?? true, messages: said?.messages ?? [] }
    },
    register: async (subject, schema) =>
      schemaIdOf(await rest.call('POST', ['subjects', subject, 'versions'], bodyOf(schema))),
  }
}

function listOf(said: unknown): readonly unknown[] {
  if (Array.isArray(said)) return said
  throw new PolybusError(
    'REGISTRY_UNAVAILABLE',
    'The registry answered with something that is no list: look at its url.',
  )
}
