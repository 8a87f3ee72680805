// A JSON schema as one document: what it refers to stands among its definitions.
import { compiling, type Shape } from '../format.ts'
import type { Schema } from '../schema.ts'

export function jsonShape({ schema, needs }: Schema): Shape {
  const parse = (text: string): Shape => {
    const parsed = compiling('JSON', () => JSON.parse(text) as Shape | boolean)
    return typeof parsed === 'boolean' ? (parsed ? {} : { not: {} }) : parsed
  }
  const names = new Map(needs.map(({ name }, index) => [name, `referred${index + 1}`]))
  /** References of the document itself begin with the place that it has now. */
  const placed = (value: unknown, place: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => placed(item, place))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      // The generator of types would write down whatever such a word says.
      Object.entries(value)
        .filter(([key]) => !/^ts[A-Z]/.test(key))
        .map(([key, inner]) => [
          key,
          key === '$ref' && typeof inner === 'string' ? target(inner, place) : placed(inner, place),
        ]),
    )
  }
  const target = (ref: string, place: string): string => {
    const [file = '', pointer = ''] = ref.split('#')
    const name = names.get(file)
    if (file === '') return `#${place}${pointer}`
    return name === undefined ? ref : `#/definitions/${name}${pointer}`
  }
  const own = placed(parse(schema), '') as Shape
  if (needs.length === 0) return own
  const referred = needs.map(({ name, schema: text }) => [
    names.get(name),
    { ...(placed(parse(text), `/definitions/${names.get(name)}`) as Shape), $id: undefined },
  ])
  return { ...own, definitions: { ...own.definitions, ...Object.fromEntries(referred) } }
}
