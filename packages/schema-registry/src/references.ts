// Schemas as the registry says and takes them, with all that they refer to.
import { PolybusError } from '@polybus/core'
import type { Rest } from './rest.ts'
import type { Reference, Schema, SchemaText, SchemaType } from './schema.ts'

export interface Answer {
  readonly id?: number
  readonly version?: number
  readonly subject?: string
  readonly schema?: string
  readonly schemaType?: SchemaType
  readonly references?: readonly Reference[]
}

/** Schemas that refer to each other in a circle end here. */
const MAX_DEPTH = 50

/** Asks for all that a schema refers to. */
export function createWhole(rest: Rest): (text: SchemaText) => Promise<Schema> {
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
      const found = textOf(await rest.call('GET', ['subjects', subject, 'versions', String(version)]))
      needs.push(...(await needsOf(found.references, seen, depth + 1)), { ...found, name })
    }
    return needs
  }
  return async (text) => ({ ...text, needs: await needsOf(text.references) })
}

/** What came, as an object; what is none says nothing about a message. */
export const answerOf = (said: unknown): Answer => (typeof said === 'object' && said !== null ? said : {})

export function textOf(said: unknown): SchemaText {
  const { schema, schemaType, references } = answerOf(said)
  if (typeof schema !== 'string')
    throw new PolybusError('REGISTRY_UNAVAILABLE', 'The registry answered without a schema: look at its url.')
  return { type: schemaType ?? 'AVRO', schema, references: Array.isArray(references) ? references : [] }
}

/** @throws {PolybusError} `REGISTRY_UNAVAILABLE` where it is none that a frame can hold. */
export function schemaIdOf(said: unknown): number {
  const { id } = answerOf(said)
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > 0xffff_ffff)
    throw new PolybusError(
      'REGISTRY_UNAVAILABLE',
      `The registry answered without an id, or with one that is none: ${String(id).slice(0, 20)}.`,
    )
  return id
}

export const bodyOf = ({ type, schema, references }: SchemaText): object => ({
  schema,
  ...(type !== 'AVRO' && { schemaType: type }),
  ...(references.length > 0 && { references }),
})
