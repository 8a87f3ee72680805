// An Avro schema as the JSON schema of what handlers get of it: unions as avsc has them, bytes as buffers.
import avsc, { type Type } from 'avsc'
import { createDefinitions } from '../definitions.ts'
import type { Shape } from '../format.ts'

const { types } = avsc

const PLAIN: Readonly<Record<string, Shape>> = {
  null: { type: 'null' },
  boolean: { type: 'boolean' },
  int: { type: 'integer' },
  long: { type: 'integer' },
  float: { type: 'number' },
  double: { type: 'number' },
  string: { type: 'string' },
  bytes: { tsType: 'Uint8Array' },
  fixed: { tsType: 'Uint8Array' },
}

export function avroShape(type: Type): Shape {
  const definitions = createDefinitions(type.name)
  const named = ({ name = '' }: Type, make: () => Shape): Shape =>
    definitions.named(name, name.split('.').at(-1) ?? name, make)
  const of = (inner: Type): Shape => {
    if (inner instanceof types.RecordType)
      return named(inner, () => ({
        type: 'object',
        properties: Object.fromEntries(inner.fields.map((field) => [field.name, of(field.type)])),
        required: inner.fields.map(({ name }) => name),
        additionalProperties: false,
      }))
    if (inner instanceof types.EnumType) return named(inner, () => ({ type: 'string', enum: inner.symbols }))
    if (inner instanceof types.ArrayType) return { type: 'array', items: of(inner.itemsType) }
    if (inner instanceof types.MapType) return { type: 'object', additionalProperties: of(inner.valuesType) }
    if (inner instanceof types.UnwrappedUnionType) return { anyOf: inner.types.map(of) }
    if (inner instanceof types.WrappedUnionType) return { anyOf: inner.types.map(wrapped) }
    // What it is made of is up to the application.
    if (inner instanceof types.LogicalType) return {}
    return PLAIN[inner.typeName] ?? {}
  }
  /** Where the branches could not be told apart by their values alone. */
  const wrapped = (branch: Type): Shape => {
    if (branch.typeName === 'null') return of(branch)
    const name = branch.name ?? branch.typeName
    return { type: 'object', properties: { [name]: of(branch) }, required: [name], additionalProperties: false }
  }
  return definitions.document(of(type))
}
