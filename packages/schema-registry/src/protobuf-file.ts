// A .proto file, as text or as a descriptor: its messages by name and by position.
import protobuf, { type Root, type Type } from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor.js'
import { type Declared, declaredIn, declaredInText } from './protobuf-declared.ts'
import type { Schema } from './schemas.ts'

export interface ProtoFile {
  first(): Type
  /** By its full name, or without the package. */
  byName(name: string): Type
  byPath(path: readonly number[]): Type | undefined
  pathOf(type: Type): readonly number[]
}

interface Parsed {
  readonly package: string
  readonly declared: readonly Declared[]
}

export function compileFile({ schema, needs }: Pick<Schema, 'schema' | 'needs'>): ProtoFile {
  const root = new protobuf.Root()
  for (const { schema: text } of needs) addTo(root, text)
  const file = addTo(root, schema)
  root.resolveAll()

  const lookup = (names: readonly string[]): Type =>
    root.lookupType([...(file.package === '' ? [] : [file.package]), ...names].join('.'))
  return {
    first() {
      const first = file.declared.find(({ name }) => name !== undefined)
      if (!first?.name) throw new Error('the file declares no message')
      return lookup([first.name])
    },
    byName(name) {
      const plain = name.replace(/^\./, '')
      const names = (plain.startsWith(`${file.package}.`) ? plain.slice(file.package.length + 1) : plain).split('.')
      if (!find(file.declared, names)) throw new Error(`the file declares no message '${name}'`)
      return lookup(names)
    },
    byPath(path) {
      const names: string[] = []
      let declared = file.declared
      for (const index of path) {
        const { name, inner } = declared[index] ?? {}
        if (name === undefined || !inner) return undefined
        names.push(name)
        declared = inner
      }
      return names.length === 0 ? undefined : lookup(names)
    },
    pathOf(type) {
      const full = type.fullName.slice(1)
      const names = (file.package === '' ? full : full.slice(file.package.length + 1)).split('.')
      let declared = file.declared
      return names.map((name) => {
        const index = declared.findIndex((each) => each.name === name)
        declared = declared[index]?.inner ?? []
        return index
      })
    },
  }
}

function find(declared: readonly Declared[], [name, ...rest]: readonly string[]): Declared | undefined {
  const found = declared.find((each) => each.name === name)
  return found && rest.length > 0 ? find(found.inner, rest) : found
}

/** Some clients register a descriptor in base64, and not every registry makes the text of it. */
const isText = (schema: string): boolean => /[;{]/.test(schema)

function addTo(root: Root, schema: string): Parsed {
  return isText(schema) ? addText(root, schema) : addDescriptor(root, Buffer.from(schema, 'base64'))
}

function addText(root: Root, text: string): Parsed {
  const parsed = protobuf.parse(text, root)
  addWellKnown(root, [...(parsed.imports ?? []), ...(parsed.weakImports ?? [])])
  return { package: parsed.package ?? '', declared: declaredInText(text) }
}

function addDescriptor(root: Root, bytes: Uint8Array): Parsed {
  const file = descriptor.FileDescriptorProto.decode(bytes)
  root.addJSON(protobuf.Root.fromDescriptor({ file: [file] } as never).toJSON().nested ?? {})
  addWellKnown(root, file.dependency ?? [])
  return { package: file.package ?? '', declared: declaredIn(file.messageType as never) }
}

/** Google's own files, which nobody registers. */
function addWellKnown(root: Root, files: readonly string[]): void {
  for (const file of files) {
    const known = protobuf.common.get(file)
    if (known?.nested) root.addJSON(known.nested)
  }
}
