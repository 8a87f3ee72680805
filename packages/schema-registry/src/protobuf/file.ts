// A .proto file, as text or as a descriptor: its messages by name and by position.
import protobuf, { type Root, type Type } from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor.js'
import { type Declared, declaredIn, declaredInText } from './declared.ts'
import type { Schema } from '../schema.ts'

export interface ProtoFile {
  first(): Type
  /** By its full name, or without the package. */
  byName(name: string): Type
  /** By its name within the package, such as `Order.Line`. */
  find(name: string): Type | undefined
  /** Its name within the package. */
  nameWithin(type: Type): string
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

  const nameWithin = ({ fullName }: Type): string =>
    file.package === '' ? fullName.slice(1) : fullName.slice(file.package.length + 2)
  const lookup = (names: readonly string[]): Type =>
    root.lookupType([...(file.package === '' ? [] : [file.package]), ...names].join('.'))
  return {
    first() {
      const first = file.declared.find(({ name }) => name !== undefined)
      if (!first?.name) throw new Error('the file declares no message')
      return lookup([first.name])
    },
    byName(name) {
      const names = namesOf(file, name)
      if (!find(file.declared, names)) throw new Error(`the file declares no message '${name}'`)
      return lookup(names)
    },
    find: (name) => (find(file.declared, name.split('.')) ? lookup(name.split('.')) : undefined),
    nameWithin,
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
      let declared = file.declared
      return nameWithin(type)
        .split('.')
        .map((name) => {
          const index = declared.findIndex((each) => each.name === name)
          declared = declared[index]?.inner ?? []
          return index
        })
    },
  }
}

/** The full name of a message, without what the file refers to. */
export function nameIn(schema: string, message: string | undefined): string {
  const file = addTo(new protobuf.Root(), schema)
  const names = namesOf(file, message ?? file.declared.find(({ name }) => name !== undefined)?.name ?? '')
  if (!find(file.declared, names)) throw new Error(`the file declares no message '${message ?? ''}'`)
  return [...(file.package === '' ? [] : [file.package]), ...names].join('.')
}

/** With or without the package. */
function namesOf({ package: own }: Parsed, name: string): readonly string[] {
  const plain = name.replace(/^\./, '')
  return (plain.startsWith(`${own}.`) ? plain.slice(own.length + 1) : plain).split('.')
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
