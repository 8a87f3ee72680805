// Avsc writes what the schema names and leaves the rest of the value out without a word. Here it is refused.
import { PolybusError } from '@polybus/core'
import avsc, { type Type } from 'avsc'

const { types } = avsc

type Check = (value: unknown, path: string) => void

const NOTHING: Check = () => {}

/** What refuses a value with a field that the schema does not have. */
export function undeclared(type: Type): (value: unknown) => void {
  const check = checkOf(type, new Map())
  return (value) => check(value, '')
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

function make(type: Type, of: (inner: Type) => Check): Check {
  if (type instanceof types.RecordType) {
    const fields = new Map(type.fields.map((field) => [field.name, of(field.type)]))
    return (value, path) => {
      if (typeof value !== 'object' || value === null) return
      for (const key in value) {
        const check = fields.get(key)
        const inner = (value as Record<string, unknown>)[key]
        if (check) {
          if (check !== NOTHING) check(inner, path === '' ? key : `${path}.${key}`)
        } else if (inner !== undefined)
          throw new PolybusError('UNSERIALISABLE', `the schema has no field '${path === '' ? key : `${path}.${key}`}'`)
      }
    }
  }
  if (type instanceof types.ArrayType) {
    const check = of(type.itemsType)
    if (check === NOTHING) return NOTHING
    return (value, path) => {
      if (Array.isArray(value)) for (const [index, item] of value.entries()) check(item, `${path}[${index}]`)
    }
  }
  if (type instanceof types.MapType) {
    const check = of(type.valuesType)
    if (check === NOTHING) return NOTHING
    return (value, path) => {
      if (typeof value === 'object' && value !== null)
        for (const [key, inner] of Object.entries(value)) check(inner, `${path}.${key}`)
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
    // Of what looks like an object there is one branch at most, or it would be wrapped.
    const checks = type.types.map(of).filter((check) => check !== NOTHING)
    return checks[0] ?? NOTHING
  }
  return NOTHING
}
