// Why a reader's schema cannot read what a writer's has written: avsc names the two types, and not where they stand.
import avsc, { type Type } from 'avsc'
import { firstOf } from '../format.ts'

const { types } = avsc

/** A line for each field that differs, the first few of them. Empty where the reader can read it, or nobody can say why not. */
export function differences(reader: Type, writer: Type): readonly string[] {
  const found: string[] = []
  compare(reader, writer, '', found, new Set())
  return firstOf(found)
}

function compare(reader: Type, writer: Type, path: string, found: string[], seen: Set<string>): void {
  if (resolves(reader, writer)) return
  if (reader instanceof types.RecordType && writer instanceof types.RecordType) {
    const pair = `${reader.name ?? ''}\n${writer.name ?? ''}`
    if (seen.has(pair)) return
    seen.add(pair)
    const before = found.length
    for (const field of reader.fields) {
      const at = path === '' ? field.name : `${path}.${field.name}`
      const names = [field.name, ...field.aliases]
      const other = writer.fields.find(({ name }) => names.includes(name))
      if (other) compare(field.type, other.type, at, found, seen)
      else if (field.defaultValue() === undefined) found.push(`field '${at}' was not written, and has no default`)
    }
    if (found.length === before)
      found.push(`${where(path)}${writer.name ?? 'it'} is no ${reader.name ?? 'such record'}`)
    return
  }
  if (reader instanceof types.ArrayType && writer instanceof types.ArrayType)
    return compare(reader.itemsType, writer.itemsType, `${path}[]`, found, seen)
  if (reader instanceof types.MapType && writer instanceof types.MapType)
    return compare(reader.valuesType, writer.valuesType, `${path}.*`, found, seen)
  found.push(`${where(path)}${nameOf(writer)} was written, ${nameOf(reader)} is wanted`)
}

function resolves(reader: Type, writer: Type): boolean {
  try {
    reader.createResolver(writer)
    return true
  } catch {
    return false
  }
}

const where = (path: string): string => (path === '' ? '' : `field '${path}': `)

function nameOf(type: Type): string {
  if (type instanceof types.EnumType) return `${type.name ?? 'enum'} (${type.symbols.join(', ')})`
  return type.name ?? (type.typeName.startsWith('union') ? JSON.stringify(type) : type.typeName)
}
