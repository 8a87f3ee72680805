// A Protobuf message as the JSON schema of what handlers get: 64 bits as texts, enums by name, defaults where nothing was set.
import protobuf, { type Enum, type Field, type Type } from 'protobufjs'
import { createDefinitions } from '../definitions.ts'
import type { Shape } from '../format.ts'

const PLAIN: Readonly<Record<string, Shape>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  bytes: { tsType: 'Uint8Array' },
  double: { type: 'number' },
  float: { type: 'number' },
}
const INTEGER: Shape = { type: 'integer' }
const TEXT: Shape = { type: 'string' }

export function protobufShape(type: Type): Shape {
  const definitions = createDefinitions(type.fullName)
  const named = ({ fullName, name }: Type | Enum, make: () => Shape): Shape => definitions.named(fullName, name, make)
  const message = (inner: Type): Shape =>
    named(inner, () => {
      const oneofs = inner.oneofsArray.filter((oneof) => !oneof.isProto3Optional)
      return {
        type: 'object',
        properties: {
          ...Object.fromEntries(inner.fieldsArray.map((field) => [field.name, ofField(field)])),
          ...Object.fromEntries(oneofs.map(({ name, oneof }) => [name, { type: 'string', enum: oneof }])),
        },
        // One of a `oneof`, or that is `optional`, is there when it was set.
        required: inner.fieldsArray.filter(({ partOf }) => !partOf).map(({ name }) => name),
        additionalProperties: false,
      }
    })
  const one = (field: Field): Shape => {
    const { resolvedType } = field.resolve()
    if (resolvedType instanceof protobuf.Type) return message(resolvedType)
    if (resolvedType) return named(resolvedType, () => ({ type: 'string', enum: Object.keys(resolvedType.values) }))
    return PLAIN[field.type] ?? (field.type.endsWith('64') ? TEXT : INTEGER)
  }
  const ofField = (field: Field): Shape => {
    const shape = one(field)
    if (field.map) return { type: 'object', additionalProperties: shape }
    if (field.repeated) return { type: 'array', items: shape }
    if (field.resolvedType instanceof protobuf.Type && !field.partOf) return { anyOf: [shape, { type: 'null' }] }
    return shape
  }
  return definitions.document(message(type))
}
