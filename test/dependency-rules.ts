// The rules on who may depend on whom (CONTRIBUTING.md), as plain functions over a map of files to sources.
// Each returns one line a violation. Paths are relative to the root, with forward slashes.
import { posix } from 'node:path'
import { parse } from '@babel/parser'

export type Tree = Readonly<Record<string, string>>

/** The client libraries that each adapter may import. `node:` modules are free for adapters. */
export const clients: Readonly<Record<string, readonly string[]>> = {
  memory: [],
  kafka: ['kafkajs', '@platformatic/kafka'],
  rabbitmq: ['amqplib'],
  sqs: ['@aws-sdk/client-sqs'],
  redis: ['ioredis'],
}

/** What core may import besides its own files: nothing that does I/O. */
export const coreMayImport: readonly string[] = ['node:async_hooks', 'node:buffer', 'node:crypto', 'node:util']
export const coreMayImportTypesOf: readonly string[] = ['@standard-schema/spec']

/** Files that may touch timers and the time of day. Add one only with its reason. */
export const clockFiles: readonly string[] = ['packages/core/src/clock.ts']

const flights = 'packages/core/src/consume/flights.ts'
const isSource = (file: string) => /^(packages|adapters)\/[^/]+\/src\//.test(file)

// --- Imports -------------------------------------------------------------------------------------------------------

export function adaptersImportCoreAndTheirClient(tree: Tree): string[] {
  return imports(tree, (file) => /^adapters\/[^/]+\/src\//.test(file))
    .filter(({ file, to, target }) => {
      const own = file.split('/')[1] ?? ''
      if (target !== undefined) return !target.startsWith(`adapters/${own}/`)
      const name = packageOf(to)
      return !(to.startsWith('node:') || name === '@polybus/core' || clients[own]?.includes(name))
    })
    .map(({ at, to }) => `${at} imports ${to}: an adapter imports core and its own client`)
}

export function coreImportsNoClient(tree: Tree): string[] {
  return imports(tree, (file) => file.startsWith('packages/core/src/'))
    .filter(({ to, target, typeOnly }) => {
      if (target !== undefined || coreMayImport.includes(to)) return false
      return !(typeOnly && coreMayImportTypesOf.includes(to))
    })
    .map(({ at, to }) => `${at} imports ${to}: core does no I/O and knows no client`)
}

export function publishAndConsumeAreApart(tree: Tree): string[] {
  const side = (file = '') => /^packages\/core\/src\/(publish|consume)\//.exec(file)?.[1]
  return imports(tree, isSource)
    .filter(({ file, target }) => side(file) && side(target) && side(file) !== side(target))
    .map(({ at, to }) => `${at} imports ${to}: publish/ and consume/ don't know each other`)
}

/** Packages are used by their names, or by an entry point such as `/tools`, without a path: neither `@polybus/core/dist/x.js` nor `../../core/src/x.ts`. */
export function noDeepImports(tree: Tree): string[] {
  const home = (file: string) => /^(?:packages|adapters|examples)\/[^/]+\/|^bench\//.exec(file)?.[0]
  return imports(tree, (file) => home(file) !== undefined)
    .filter(({ file, to, target }) =>
      target === undefined
        ? /^(polybus|@polybus\/[^/]+)\/(?!(?:package\.json|[a-z-]+)$)/.test(to)
        : !target.startsWith(home(file) ?? ''),
    )
    .map(({ at, to }) => `${at} imports ${to}: other packages are imported by their name, or an entry point`)
}

/** Type imports count: a cycle of types is still two files that can't be read apart. */
export function noCycles(tree: Tree): string[] {
  const next = new Map<string, string[]>(Object.keys(tree).map((file) => [file, []]))
  for (const { file, target, to } of imports(tree, isSource)) {
    const found = target ?? entryOf(tree, to)
    if (found !== undefined && next.has(found)) next.get(file)?.push(found)
  }
  const done = new Set<string>()
  const path: string[] = []
  const cycles: string[] = []
  const visit = (file: string) => {
    const start = path.indexOf(file)
    if (start >= 0) cycles.push([...path.slice(start), file].join(' -> '))
    if (start >= 0 || done.has(file)) return
    path.push(file)
    for (const target of next.get(file) ?? []) visit(target)
    path.pop()
    done.add(file)
  }
  for (const file of next.keys()) visit(file)
  return cycles
}

// --- Contents ------------------------------------------------------------------------------------------------------

export function typesOnly(tree: Tree): string[] {
  const isType = (node: Node): boolean => {
    const declared = child(node, 'declaration')
    switch (node.type) {
      case 'ImportDeclaration':
        return node.importKind === 'type'
      case 'ExportAllDeclaration':
        return node.exportKind === 'type'
      case 'ExportNamedDeclaration':
        if (declared) return isType(declared)
        return node.exportKind === 'type' || (list(node, 'specifiers').length === 0 && !child(node, 'source'))
      case 'TSInterfaceDeclaration':
      case 'TSTypeAliasDeclaration':
        return true
      default:
        return node.declare === true
    }
  }
  return ['packages/core/src/adapter.ts', 'packages/core/src/message.ts'].flatMap((file) =>
    list(parsed(tree, file), 'body')
      .filter((node) => !isType(node))
      .map((node) => `${file}:${line(node)} has more than types`),
  )
}

export function onlyFlightsSettles(tree: Tree): string[] {
  return nodes(tree, (file) => file.startsWith('packages/core/src/') && file !== flights)
    .filter(({ node }) => {
      if (!/^(Optional)?CallExpression$/.test(node.type)) return false
      return ['settle', 'extend'].includes(memberName(child(node, 'callee')) ?? '')
    })
    .map(({ at }) => `${at} settles or extends: flights.ts alone owns tokens`)
}

const timers = ['setTimeout', 'setInterval', 'setImmediate']
const clockMembers = new Map<unknown, readonly string[]>([
  ['Date', ['now']],
  ['performance', ['now', 'timeOrigin']],
  ['process', ['hrtime']],
  ['AbortSignal', ['timeout']],
  ['globalThis', timers],
  ['global', timers],
])

export function onlyTheClockTellsTime(tree: Tree): string[] {
  const where = (file: string) => isSource(file) && !clockFiles.includes(file)
  const imported = imports(tree, where).filter(
    ({ to, typeOnly }) => /^(node:)?(timers|perf_hooks)(\/|$)/.test(to) && !typeOnly,
  )
  const used = nodes(tree, where).filter(({ node, reference }) => {
    if (node.type === 'Identifier') return reference && timers.includes(String(node.name))
    if (node.type === 'NewExpression') return isDate(child(node, 'callee')) && list(node, 'arguments').length === 0
    if (node.type === 'CallExpression' && isDate(child(node, 'callee'))) return true
    const object = memberName(child(node, 'object')) ?? child(node, 'object')?.name
    return clockMembers.get(object)?.includes(memberName(node) ?? '') ?? false
  })
  const places = new Set([...imported, ...used].map(({ at }) => at))
  return [...places].map((at) => `${at} touches timers or the time of day: ask the injected clock`)
}

const isDate = (node: Node | undefined) => node?.type === 'Identifier' && node.name === 'Date'

// --- Reading sources -----------------------------------------------------------------------------------------------

type Node = Record<string, unknown> & { type: string; loc: { start: { line: number } } }
type Place = { file: string; at: string; node: Node; reference: boolean }
/** `target` is the file that a relative specifier means; undefined for packages. */
type Import = { file: string; at: string; to: string; target: string | undefined; typeOnly: boolean }

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && 'loc' in value
const child = (node: Node | undefined, key: string) => (isNode(node?.[key]) ? node[key] : undefined)
const list = (node: Node | undefined, key: string) => (Array.isArray(node?.[key]) ? node[key].filter(isNode) : [])
const line = (node: Node) => node.loc.start.line
const packageOf = (specifier: string) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier

function entryOf(tree: Tree, specifier: string): string | undefined {
  const name = /^(?:@polybus\/)?([a-z-]+)$/.exec(specifier)?.[1]
  return ['packages', 'adapters'].map((folder) => `${folder}/${name}/src/index.ts`).find((file) => file in tree)
}

/** `a.b`, `a?.b` and `a['b']` are called 'b'. */
function memberName(node: Node | undefined): string | undefined {
  if (!node || !/^(Optional)?MemberExpression$/.test(node.type)) return undefined
  const property = child(node, 'property')
  const name = node.computed ? property?.value : property?.name
  return typeof name === 'string' ? name : undefined
}

const programs = new Map<string, Node>()

function parsed(tree: Tree, file: string): Node | undefined {
  const source = tree[file]
  if (source === undefined) return undefined
  const known = programs.get(source)
  if (known) return known
  const { program } = parse(source, { sourceType: 'module', plugins: ['typescript'], sourceFilename: file })
  programs.set(source, program as unknown as Node)
  return program as unknown as Node
}

/** Every node of the files that `where` picks. `reference` is false for an identifier that only names a member, a key or a type. */
function nodes(tree: Tree, where: (file: string) => boolean): Place[] {
  const found: Place[] = []
  for (const file of Object.keys(tree).filter(where)) {
    const visit = (node: Node, reference: boolean) => {
      found.push({ file, at: `${file}:${line(node)}`, node, reference })
      for (const [key, value] of Object.entries(node)) {
        const names = !node.computed && (key === 'property' || key === 'key')
        const isReference = !names && !node.type.startsWith('TS')
        for (const inner of Array.isArray(value) ? value : [value]) if (isNode(inner)) visit(inner, isReference)
      }
    }
    const program = parsed(tree, file)
    if (program) visit(program, true)
  }
  return found
}

function imports(tree: Tree, where: (file: string) => boolean): Import[] {
  return nodes(tree, where).flatMap(({ file, at, node }) => {
    const isCall =
      /^(Import|Call)Expression$/.test(node.type) &&
      (node.type === 'ImportExpression' || isImporter(child(node, 'callee')))
    const from = isCall
      ? (child(node, 'source') ?? list(node, 'arguments')[0])
      : (child(node, 'source') ?? child(node, 'argument'))
    if (!isCall && !/^(Import|Export.*)Declaration$|^TSImportType$/.test(node.type)) return []
    if (from?.type !== 'StringLiteral' && from?.type !== 'TSLiteralType') return []
    const to = String(from.value ?? child(from, 'literal')?.value)
    const target = to.startsWith('.') ? posix.join(posix.dirname(file), to) : undefined
    return [{ file, at, to, target, typeOnly: isTypeOnly(node) }]
  })
}

const isImporter = (callee: Node | undefined) => callee?.type === 'Import' || callee?.name === 'require'

function isTypeOnly(node: Node): boolean {
  if (node.type === 'TSImportType' || node.importKind === 'type' || node.exportKind === 'type') return true
  const names = list(node, 'specifiers')
  return names.length > 0 && names.every((name) => name.importKind === 'type' || name.exportKind === 'type')
}
