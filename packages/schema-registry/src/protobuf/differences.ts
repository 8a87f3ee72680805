// What a Protobuf reader misreads of a writer's message: fields are known by their numbers.
import protobuf, { type Field, type Type } from 'protobufjs'
import { at, firstOf } from '../format.ts'

/** What was written, and as what else it may be read: Protobuf reads more, and silently makes other numbers of some. */
const READ_AS: Readonly<Record<string, readonly string[]>> = {
  bool: ['int32', 'uint32', 'int64', 'uint64'],
  enum: ['int32', 'int64'],
  int32: ['int64', 'enum'],
  uint32: ['uint64', 'int64'],
  sint32: ['sint64'],
  string: ['bytes'],
  bytes: ['string'],
}

/** @param writer undefined: it has no message of that name. */
export function differences(reader: Type, writer: Type | undefined): readonly string[] {
  if (!writer) return [`message '${reader.name}' is not there`]
  const found: string[] = []
  compare(reader, writer, '', found, new Set())
  return firstOf(found)
}

function compare(reader: Type, writer: Type, path: string, found: string[], seen: Set<string>): void {
  const pair = `${reader.fullName}\n${writer.fullName}`
  if (seen.has(pair)) return
  seen.add(pair)
  for (const field of reader.fieldsArray) {
    const name = at(path, field.name)
    const other = writer.fieldsById[field.id]
    const moved = writer.fields[field.name]
    if (!other && moved) found.push(`field '${name}' was written with number ${moved.id}, and is read with ${field.id}`)
    else if (!other && field.required) found.push(`field '${name}' was not written, and is required`)
    if (!other) continue
    const [wanted, written] = [kindOf(field), kindOf(other)]
    if (wanted !== written && !READ_AS[written]?.includes(wanted))
      found.push(`field '${name}': ${typeName(other)} was written, ${typeName(field)} is wanted`)
    const [inner, otherInner] = [field.resolvedType, other.resolvedType]
    if (inner instanceof protobuf.Type && otherInner instanceof protobuf.Type)
      compare(inner, otherInner, name, found, seen)
  }
}

function kindOf(field: Field): string {
  const { resolvedType } = field.resolve()
  if (field.map) return 'map'
  if (resolvedType instanceof protobuf.Type) return 'message'
  return resolvedType ? 'enum' : field.type
}
const typeName = (field: Field): string =>
  field instanceof protobuf.MapField ? `map<${field.keyType}, ${field.type}>` : field.type
