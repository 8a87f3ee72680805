// Which schemas of its own a channel's codec has, and under which subject each belongs.
import { type CodecContext, PolybusError } from '@polybus/core'
import type { LocalSchema, RegistryCodecOptions } from './codec-options.ts'
import type { Format } from './format.ts'
import type { SchemaText } from './schema.ts'
import { subjectOf } from './subjects.ts'

export interface Target {
  /** Undefined: whatever is the latest of the subject. */
  readonly local: SchemaText | undefined
  readonly subject: string
}
export interface Targets {
  /** They differ by type, or there is one for all. */
  readonly byType: boolean
  /** All of them. */
  readonly locals: readonly SchemaText[]
  localOf(context: CodecContext): SchemaText | undefined
  /** @throws {PolybusError} `INVALID_MESSAGE` where there is none for the type; `INVALID_OPTION` where the subject needs a name. */
  of(context: CodecContext): Target
  /** Of the type, or where there is none of all types that it has a schema for. */
  all(context: CodecContext): readonly Target[]
}

export function createTargets(format: Format, options: RegistryCodecOptions): Targets {
  const { references = [], message, subject: strategy = 'topic' } = options
  const textOf = (schema: LocalSchema): SchemaText => ({
    type: format.type,
    schema: typeof schema === 'string' ? schema : JSON.stringify(schema),
    references,
  })
  const only = options.schema === undefined ? undefined : textOf(options.schema)
  const byType = new Map(Object.entries(options.schemas ?? {}).map(([type, schema]) => [type, textOf(schema)]))
  const localOf = ({ type }: CodecContext): SchemaText | undefined =>
    only ?? (type === undefined ? undefined : byType.get(type))

  const of = (context: CodecContext): Target => {
    const local = localOf(context)
    if (byType.size > 0 && !local)
      throw new PolybusError('INVALID_MESSAGE', `there is no schema for type '${context.type ?? ''}'`)
    const record = local && format.nameOf(local, message)
    const subject = subjectOf(strategy, { ...context, record })
    if (!subject)
      throw new PolybusError(
        'INVALID_OPTION',
        `subject '${String(strategy)}' needs a schema with a name: give the codec its schema, or a subject.`,
      )
    return { local, subject }
  }
  return {
    byType: byType.size > 0,
    locals: only ? [only] : [...byType.values()],
    localOf,
    of,
    all: (context) =>
      byType.size > 0 && context.type === undefined
        ? [...byType.keys()].map((type) => of({ ...context, type }))
        : [of(context)],
  }
}
