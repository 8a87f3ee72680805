// What a JSON schema of a reader refuses of that which a writer's allows. It looks at types, required and forbidden properties,
// enumerations and items: what people change. Where that is all equal it says nothing.
import { at, firstOf, type Shape } from '../format.ts'

interface Node extends Shape {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Node>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Node
  readonly enum?: readonly unknown[]
  readonly items?: Node
  readonly $ref?: string
}

export function differences(reader: Shape, writer: Shape): readonly string[] {
  const found: string[] = []
  const seen = new Set<string>()

  const compare = (wanted: Node, written: Node, path: string): void => {
    if (wanted.$ref !== undefined && written.$ref !== undefined) {
      const pair = `${wanted.$ref}\n${written.$ref}`
      if (seen.has(pair)) return
      seen.add(pair)
    }
    const [to, from] = [resolved(wanted, reader), resolved(written, writer)]
    const named = path === '' ? 'it' : `field '${path}'`
    const [toTypes, fromTypes] = [typesOf(to), typesOf(from)]
    if (
      toTypes &&
      !fromTypes?.every((type) => toTypes.includes(type) || (type === 'integer' && toTypes.includes('number')))
    )
      return void found.push(
        `${named} may be ${fromTypes?.join(' or ') ?? 'anything'}, and has to be ${toTypes.join(' or ')}`,
      )
    if (to.enum) {
      const allowed = new Set(to.enum.map((value) => JSON.stringify(value)))
      const more = from.enum?.map((value) => JSON.stringify(value)).filter((value) => !allowed.has(value))
      if (!from.enum || (more && more.length > 0))
        found.push(`${named} may be ${more?.join(', ') ?? 'anything'}, and has to be one of ${[...allowed].join(', ')}`)
    }
    const [properties, others] = [to.properties ?? {}, from.properties ?? {}]
    for (const name of to.required ?? [])
      if (!from.required?.includes(name)) found.push(`field '${at(path, name)}' may be missing, and is required`)
    for (const [name, inner] of Object.entries(properties)) {
      const other = others[name]
      if (other) compare(inner, other, at(path, name))
    }
    if (to.additionalProperties === false) {
      const extra = Object.keys(others).filter((name) => !(name in properties))
      for (const name of extra) found.push(`field '${at(path, name)}' may be there, and is not allowed`)
      if (from.additionalProperties !== false && extra.length === 0)
        found.push(`${path === '' ? 'other fields' : `other fields of '${path}'`} may be there, and are not allowed`)
    }
    if (to.items && from.items) compare(to.items, from.items, `${path}[]`)
  }
  compare(reader, writer, '')
  return firstOf(found)
}

function typesOf({ type }: Node): readonly string[] | undefined {
  return typeof type === 'string' ? [type] : type
}

/** References within the document; one that leads in a circle ends. */
function resolved(node: Node, root: Shape): Node {
  let current = node
  for (let depth = 0; typeof current.$ref === 'string' && depth < 100; depth++) {
    const parts = current.$ref
      .replace(/^#\/?/, '')
      .split('/')
      .filter((part) => part !== '')
    let target: unknown = root
    for (const part of parts)
      target = (target as Record<string, unknown> | undefined)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')]
    if (typeof target !== 'object' || target === null) return {}
    current = target as Node
  }
  return current
}
