// Which messages a .proto file declares, in order. Protobufjs forgets one thing: every map field declares a message of its own, the
// type of its entries, and those count where a message is named by its position.
import protobuf from 'protobufjs'

/** A message, or without a name the entries of a map. */
export interface Declared {
  readonly name: string | undefined
  readonly inner: readonly Declared[]
}
/** What the generated code of a descriptor has of it. */
export interface DescriptorLike {
  readonly name?: string | null | undefined
  readonly nestedType?: readonly DescriptorLike[] | null | undefined
  readonly options?: { readonly mapEntry?: boolean | null | undefined } | null | undefined
}

const ENTRIES: Declared = { name: undefined, inner: [] }

export const declaredIn = (types: readonly DescriptorLike[] | null | undefined): readonly Declared[] =>
  (types ?? []).map(({ name, nestedType, options }) =>
    options?.mapEntry ? ENTRIES : { name: name ?? undefined, inner: declaredIn(nestedType) },
  )

export function declaredInText(text: string): readonly Declared[] {
  const { next } = protobuf.tokenize(text, false)
  /** To the end of what `first` begins: a semicolon, or a block. */
  const skip = (first: string): void => {
    let brackets = 0
    for (let token: string | null = first; token !== null; token = next()) {
      if (token === '[') brackets++
      else if (token === ']') brackets--
      else if (token === '{') {
        for (let depth = 1; depth > 0;) {
          const inner = next()
          if (inner === null) return
          depth += inner === '{' ? 1 : inner === '}' ? -1 : 0
        }
        if (brackets === 0) return
      } else if (token === ';' && brackets === 0) return
    }
  }
  const block = (): readonly Declared[] => {
    const found: Declared[] = []
    for (let token = next(); token !== null && token !== '}'; token = next()) {
      if (token === 'message') {
        const name = next() ?? ''
        next()
        found.push({ name, inner: block() })
      } else {
        if (token === 'map') found.push(ENTRIES)
        skip(token)
      }
    }
    return found
  }
  return block()
}
