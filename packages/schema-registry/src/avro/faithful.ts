// Avsc leaves out without a word what the schema does not name, and writes some values as something else. Here each of them is refused.
import { PolybusError } from '@polybus/core'
import avsc, { type Type } from 'avsc'
import { at } from '../format.ts'

const { types } = avsc

/** Without a path nobody wants to know where: to make one of each field costs more than all the rest. */
type Check = (value: unknown, path: string | undefined) => void

const NOTHING: Check = () => {}

/** What refuses a value that would not be read again as it is. */
export function faithful(type: Type): (value: unknown) => void {
  const check = checkOf(type, new Map())
  if (check === NOTHING) return NOTHING as () => void
  return (value) => {
    try {
      check(value, undefined)
    } catch (error) {
      check(value, '')
      throw error
    }
  }
}

interface Known {
  check: Check | undefined
}

function checkOf(type: Type, known: Map<Type, Known>): Check {
  const before = known.get(type)
  // A type that holds itself is still being made.
  if (before) return before.check ?? ((value, path) => before.check?.(value, path))
  const own: Known = { check: undefined }
  known.set(type, own)
  own.check = make(type, (inner) => checkOf(inner, known))
  return own.check
}

const within = (path: string | undefined, name: string): string | undefined =>
  path === undefined ? undefined : at(path, name)
const inside = (path: string | undefined, index: number): string | undefined =>
  path === undefined ? undefined : `${path}[${index}]`
const refuse = (path: string | undefined, text: string): PolybusError =>
  new PolybusError('UNSERIALISABLE', `${path ? `field '${path}'` : 'the value'}: ${text}`)

function refuseOthers(fields: ReadonlySet<string>, value: object, path: string | undefined): void {
  for (const key in value)
    if (!fields.has(key) && (value as Record<string, unknown>)[key] !== undefined)
      throw new PolybusError('UNSERIALISABLE', `the schema has no field '${at(path ?? '', key)}'`)
}
const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
/** Half a surrogate pair would become another character. */
const checkString: Check = (value, path) => {
  if (typeof value === 'string' && !value.isWellFormed())
    throw refuse(path, 'it holds half a surrogate pair, which UTF-8 cannot write')
}
const MOST_FLOAT = 3.4028234663852886e38
const checkFloat: Check = (value, path) => {
  if (typeof value === 'number' && Number.isFinite(value) && Math.abs(value) > MOST_FLOAT)
    throw refuse(path, 'it is too large for a float')
}

function make(type: Type, of: (inner: Type) => Check): Check {
  if (type instanceof types.RecordType) {
    const fields = new Set(type.fields.map(({ name }) => name))
    const inner = type.fields
      .map((field) => ({ name: field.name, check: of(field.type) }))
      .filter(({ check }) => check !== NOTHING)
    // Where avsc itself refuses a value that lacks a field, as many keys as fields are those fields.
    const countIsEnough = type.fields.every((field) => field.defaultValue() === undefined)
    return (value, path) => {
      if (typeof value !== 'object' || value === null) return
      let count = 0
      for (const _ in value) count++
      if (!countIsEnough || count !== fields.size || !isPlain(value)) refuseOthers(fields, value, path)
      for (const { name, check } of inner) check((value as Record<string, unknown>)[name], within(path, name))
    }
  }
  if (type instanceof types.EnumType) {
    const symbols = new Set(type.symbols)
    return (value, path) => {
      if (typeof value === 'string' && !symbols.has(value))
        throw refuse(path, `it is none of ${type.symbols.join(', ')}`)
    }
  }
  if (type instanceof types.ArrayType) {
    const check = of(type.itemsType)
    if (check === NOTHING) return NOTHING
    return (value, path) => {
      if (Array.isArray(value))
        for (let index = 0; index < value.length; index++) check(value[index], inside(path, index))
    }
  }
  if (type instanceof types.MapType) {
    const check = of(type.valuesType)
    return (value, path) => {
      if (typeof value !== 'object' || value === null) return
      if (!isPlain(value)) throw refuse(path, 'a map is written of a plain object alone')
      for (const [key, inner] of Object.entries(value)) {
        checkString(key, path)
        if (check !== NOTHING) check(inner, within(path, key))
      }
    }
  }
  if (type instanceof types.WrappedUnionType) {
    const checks = new Map(type.types.map((branch) => [branch.branchName, of(branch)]))
    return (value, path) => {
      if (typeof value === 'object' && value !== null)
        for (const [branch, inner] of Object.entries(value)) checks.get(branch)?.(inner, path)
    }
  }
  if (type instanceof types.UnwrappedUnionType) {
    const checks = type.types
      .map((branch) => ({ takes: takes(branch), check: of(branch) }))
      .filter(({ check }) => check !== NOTHING)
    if (checks.length === 0) return NOTHING
    return (value, path) => {
      for (const { takes: fits, check } of checks) if (fits(value)) return check(value, path)
    }
  }
  if (type.typeName === 'string') return checkString
  if (type.typeName === 'float') return checkFloat
  return NOTHING
}

/** Avsc tells the branches apart by what kind of value they take, or it would wrap them. */
function takes(branch: Type): (value: unknown) => boolean {
  if (branch instanceof types.ArrayType) return Array.isArray
  if (branch instanceof types.RecordType || branch instanceof types.MapType)
    return (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value)
  if (branch instanceof types.EnumType || branch.typeName === 'string') return (value) => typeof value === 'string'
  if (branch.typeName === 'float') return (value) => typeof value === 'number'
  return () => false
}
