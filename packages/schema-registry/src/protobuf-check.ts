// Protobufjs makes a number of any text and leaves out what a message does not have. Here each such value is refused by its field.
import { PolybusError, show } from '@polybus/core'
import protobuf, { type Field, type Type } from 'protobufjs'

const isInteger = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max
const int32 = (value: unknown): boolean => isInteger(value, -(2 ** 31), 2 ** 31 - 1)
const uint32 = (value: unknown): boolean => isInteger(value, 0, 2 ** 32 - 1)
/** As a text, or as a number where that is exact. */
const int64 = (value: unknown): boolean =>
  Number.isSafeInteger(value) || (typeof value === 'string' && /^-?\d{1,20}$/.test(value))
const uint64 = (value: unknown): boolean => int64(value) && !String(value).startsWith('-')
const number = (value: unknown): boolean => typeof value === 'number'

const SCALARS: Readonly<Record<string, readonly [is: (value: unknown) => boolean, expected: string]>> = {
  string: [(value) => typeof value === 'string', 'a text'],
  bool: [(value) => typeof value === 'boolean', 'a boolean'],
  bytes: [(value) => value instanceof Uint8Array, 'a Uint8Array'],
  double: [number, 'a number'],
  float: [number, 'a number'],
  int32: [int32, 'a whole number of 32 bits'],
  sint32: [int32, 'a whole number of 32 bits'],
  sfixed32: [int32, 'a whole number of 32 bits'],
  uint32: [uint32, 'a whole number of 32 bits from 0'],
  fixed32: [uint32, 'a whole number of 32 bits from 0'],
  int64: [int64, 'a whole number of 64 bits, as a text or exact number'],
  sint64: [int64, 'a whole number of 64 bits, as a text or exact number'],
  sfixed64: [int64, 'a whole number of 64 bits, as a text or exact number'],
  uint64: [uint64, 'a whole number of 64 bits from 0, as a text or exact number'],
  fixed64: [uint64, 'a whole number of 64 bits from 0, as a text or exact number'],
}

const refuse = (text: string): PolybusError => new PolybusError('UNSERIALISABLE', text)

/** @throws {PolybusError} `UNSERIALISABLE` naming the field. */
export function checkMessage(type: Type, value: unknown, path = ''): void {
  const name = type.fullName.slice(1)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse(`${path === '' ? name : `field '${path}'`}: expected an object, got ${show(value)}`)
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue
    const at = path === '' ? key : `${path}.${key}`
    const field = type.fields[key]
    if (field) checkField(field, inner, at)
    // The names of the set ones, as a decoded message has them.
    else if (!type.oneofs?.[key]) throw refuse(`${name} has no field '${at}'`)
  }
  for (const field of type.fieldsArray)
    if (field.required && (value as Record<string, unknown>)[field.name] === undefined)
      throw refuse(`field '${path === '' ? field.name : `${path}.${field.name}`}' is required`)
}

function checkField(field: Field, value: unknown, at: string): void {
  if (value === null) return
  if (field.map) {
    if (typeof value !== 'object' || Array.isArray(value))
      throw refuse(`field '${at}': expected an object, got ${show(value)}`)
    for (const [key, inner] of Object.entries(value)) checkOne(field, inner, `${at}.${key}`)
  } else if (field.repeated) {
    if (!Array.isArray(value)) throw refuse(`field '${at}': expected an array, got ${show(value)}`)
    for (const [index, inner] of value.entries()) checkOne(field, inner, `${at}[${index}]`)
  } else checkOne(field, value, at)
}

function checkOne(field: Field, value: unknown, at: string): void {
  const { resolvedType } = field.resolve()
  if (resolvedType instanceof protobuf.Type) return checkMessage(resolvedType, value, at)
  if (resolvedType) {
    const { values, valuesById } = resolvedType
    if (typeof value === 'string' ? !(value in values) : !(typeof value === 'number' && value in valuesById))
      throw refuse(`field '${at}': expected one of ${Object.keys(values).join(', ')}, got ${show(value)}`)
    return
  }
  const [is, expected] = SCALARS[field.type] ?? [() => true, '']
  if (!is(value)) throw refuse(`field '${at}': expected ${expected}, got ${show(value)}`)
}
