// Named types of a document: each stands among its definitions once, and the one that the document is about is the document.
import type { Shape } from './format.ts'

export interface Definitions {
  /** A reference to it; `make` is called once for a name, and may refer to it again. */
  named(name: string, title: string, make: () => Shape): Shape
  document(root: Shape): Shape
}

export function createDefinitions(rootName: string | undefined): Definitions {
  const made: Record<string, Shape> = {}
  return {
    named(name, title, make) {
      if (!(name in made)) {
        made[name] = {}
        made[name] = { title, ...make() }
      }
      return { $ref: name === rootName ? '#' : `#/definitions/${name}` }
    },
    document(root) {
      const own = rootName === undefined ? undefined : made[rootName]
      const definitions = Object.fromEntries(Object.entries(made).filter(([name]) => name !== rootName))
      return { ...(own ?? root), definitions }
    },
  }
}
