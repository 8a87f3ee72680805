// Protobufjs makes a number of any text and leaves out what a message does not have. Here each such value is refused by its field.
import { PolybusError, show } from '@polybus/core'
import protobuf, { type Field, type MapField, type Type } from 'protobufjs'

const isInteger = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max
const int32 = (value: unknown): boolean => isInteger(value, -(2 ** 31), 2 ** 31 - 1)
const uint32 = (value: unknown): boolean => isInteger(value, 0, 2 ** 32 - 1)
/** As a text, or as a number where that is exact. */
const isBig = (value: unknown, min: bigint, max: bigint): boolean => {
  if (Number.isSafeInteger(value)) return BigInt(value as number) >= min
  if (typeof value !== 'string' || !/^-?\d{1,20}$/.test(value)) return false
  const exact = BigInt(value)
  return exact >= min && exact <= max
}
const int64 = (value: unknown): boolean => isBig(value, -(2n ** 63n), 2n ** 63n - 1n)
const uint64 = (value: unknown): boolean => isBig(value, 0n, 2n ** 64n - 1n)
const number = (value: unknown): boolean => typeof value === 'number'

const SCALARS: Readonly<Record<string, readonly [is: (value: unknown) => boolean, expected: string]>> = {
  // Half a surrogate pair would become another character.
  string: [(value) => typeof value === 'string' && value.isWellFormed(), 'a text that UTF-8 can write'],
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

/** A message's value: what is made of it must be what it holds, which of a Date or a Map is nothing. */
const isRecord = (value: unknown): value is object =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !ArrayBuffer.isView(value) &&
  !['[object Date]', '[object Map]', '[object Set]'].includes(Object.prototype.toString.call(value))
const isOneof = ({ oneofs }: Type, name: string): boolean =>
  oneofs !== undefined && Object.hasOwn(oneofs, name) && !oneofs[name]?.isProto3Optional
const isKey = (key: string, type: string): boolean => {
  if (type === 'string') return key.isWellFormed()
  if (type === 'bool') return key === 'true' || key === 'false'
  const value = type.endsWith('64') ? key : Number(key)
  return /^-?\d+$/.test(key) && (SCALARS[type]?.[0](value) ?? false)
}

const refuse = (text: string): PolybusError => new PolybusError('UNSERIALISABLE', text)

/** @throws {PolybusError} `UNSERIALISABLE` naming the field. */
export function checkMessage(type: Type, value: unknown, path = ''): void {
  const name = type.fullName.slice(1)
  if (!isRecord(value))
    throw refuse(`${path === '' ? name : `field '${path}'`}: expected an object, got ${show(value)}`)
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue
    const at = path === '' ? key : `${path}.${key}`
    const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined
    if (field) checkField(field, inner, at)
    // The names of the set ones, as a decoded message has them.
    else if (!isOneof(type, key)) throw refuse(`${name} has no field '${at}'`)
  }
  for (const { name: oneof, oneof: names } of type.oneofsArray) {
    const set = names.filter((each) => ((value as Record<string, unknown>)[each] ?? undefined) !== undefined)
    if (set.length > 1)
      throw refuse(`${name} can hold one of ${names.join(', ')} (oneof '${oneof}'), and ${set.join(' and ')} are set`)
  }
  for (const field of type.fieldsArray)
    if (field.required && ((value as Record<string, unknown>)[field.name] ?? undefined) === undefined)
      throw refuse(`field '${path === '' ? field.name : `${path}.${field.name}`}' is required`)
}

function checkField(field: Field, value: unknown, at: string): void {
  if (value === null) return
  if (field.map) {
    if (!isRecord(value)) throw refuse(`field '${at}': expected an object, got ${show(value)}`)
    const { keyType } = field as unknown as MapField
    for (const [key, inner] of Object.entries(value)) {
      if (!isKey(key, keyType)) throw refuse(`field '${at}': '${key}' is no ${keyType}`)
      checkOne(field, inner, `${at}.${key}`)
    }
  } else if (field.repeated) {
    if (!Array.isArray(value)) throw refuse(`field '${at}': expected an array, got ${show(value)}`)
    for (const [index, inner] of value.entries()) checkOne(field, inner, `${at}[${index}]`)
  } else checkOne(field, value, at)
}

function checkOne(field: Field, value: unknown, at: string): void {
  const { resolvedType } = field.resolve()
  if (resolvedType instanceof protobuf.Type) return checkMessage(resolvedType, value, at)
  if (resolvedType) {
    const { values } = resolvedType
    // A number that has no name is read so, too.
    if (typeof value === 'string' ? !Object.hasOwn(values, value) : !int32(value))
      throw refuse(`field '${at}': expected one of ${Object.keys(values).join(', ')}, got ${show(value)}`)
    return
  }
  const [is, expected] = SCALARS[field.type] ?? [() => true, '']
  if (!is(value)) throw refuse(`field '${at}': expected ${expected}, got ${show(value)}`)
}
