import { describeError, PolybusError } from '@polybus/core'
import type { Format, RegistryAdmin } from '@polybus/schema-registry/tools'
import type * as generator from 'json-schema-to-typescript'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Command, DONE, type Given, INCOMPLETE, type Io, UsageError } from '../command.ts'
import { REGISTRY } from '../options.ts'
import { adminOf, each, localsOf, tools } from '../schemas.ts'
import { clean } from '../table.ts'

export const schemaTypes: Command = {
  name: 'schema types',
  takes: ['[subject...]'],
  summary: 'writes TypeScript of what handlers get, from registered schemas',
  about: `Of the subjects that are named, of those of --channels, or with --all of every one: the latest version of each. One subject goes to stdout; several,
or one with --out, to a folder, a file each. Needs json-schema-to-typescript beside the command.`,
  options: {
    out: { type: 'text', value: 'FOLDER', text: 'where the files go; it is made where it is not there' },
    all: { type: 'flag', text: 'every subject of the registry' },
    ...REGISTRY,
  },
  examples: [
    'schema types orders-value --registry http://localhost:8081 > src/orders-value.ts',
    'schema types --channels ./dist/channels.js --out src/schemas',
  ],
  brokerless: true,
  async run(given, io) {
    const admin = await adminOf(given, io)
    const subjects = await subjectsOf(given, io, admin)
    const messages = await messagesOf(given, io)
    const out = given.text('out')
    if (out === undefined && subjects.length > 1)
      throw new UsageError(`${subjects.length} subjects are a file each: give --out FOLDER.`)
    const [compiler, { formatOf }] = await Promise.all([loadGenerator(), tools()])
    const folder = out === undefined ? undefined : resolve(io.directory, out)
    if (folder !== undefined) await mkdir(folder, { recursive: true })
    let failed = 0
    const written = async (subject: string): Promise<void> => {
      let text: string
      try {
        text = await typesOf(compiler, admin, { subject, message: messages.get(subject) }, formatOf)
      } catch (error) {
        if (subjects.length === 1 || !PolybusError.is(error, 'SCHEMA_INVALID')) throw error
        failed++
        return io.say(`polybus: ${subject}: ${error.message}`)
      }
      if (folder === undefined) return io.out(text.trimEnd())
      const file = `${encodeURIComponent(subject)}.ts`
      await writeFile(join(folder, file), text)
      io.say(join(out ?? '', file))
    }
    for await (const _ of each(subjects, written)) io.signal.throwIfAborted()
    return failed > 0 ? INCOMPLETE : DONE
  },
}

async function subjectsOf(given: Given, io: Io, admin: RegistryAdmin): Promise<readonly string[]> {
  const all = given.flag('all')
  if (given.args.length > 0) {
    if (all) throw new UsageError('Give --all, or subjects, not both.')
    return given.args
  }
  if (all) return admin.subjects()
  if (given.text('channels') === undefined)
    throw new UsageError('Of which subjects? Name them, or give --channels FILE or --all.')
  return [...new Set((await localsOf(given, io)).map(({ target }) => target.subject))]
}

/** Of a Protobuf file with several messages the one that the channel means. */
async function messagesOf(given: Given, io: Io): Promise<ReadonlyMap<string, string>> {
  if (given.text('channels') === undefined) return new Map()
  const locals = await localsOf(given, io, [])
  return new Map(
    locals.flatMap(({ own, target }) => (own.message === undefined ? [] : [[target.subject, own.message]])),
  )
}

async function typesOf(
  { compile }: typeof generator,
  admin: RegistryAdmin,
  { subject, message }: { readonly subject: string; readonly message: string | undefined },
  formatOf: (type: 'AVRO' | 'JSON' | 'PROTOBUF') => Format,
): Promise<string> {
  if ((await admin.versions(subject)).length === 0) throw new UsageError(`The registry has no subject '${subject}'.`)
  const { schema, version, id } = await admin.version(subject, 'latest')
  return compile(formatOf(schema.type).shape(schema, message), subject, {
    bannerComment: `// ${clean(subject)}, version ${version} (id ${id}). Written by 'polybus schema types': do not edit.`,
    // A schema's own word holds; where it has none nobody gains by 'unknown' for every other name.
    additionalProperties: false,
    style: { semi: false, singleQuote: true, printWidth: 120 },
    $refOptions: { resolve: { external: false } },
  })
}

async function loadGenerator(): Promise<typeof generator> {
  try {
    return await import('json-schema-to-typescript')
  } catch (error) {
    throw new UsageError(
      `json-schema-to-typescript is needed for this: npm install --save-dev json-schema-to-typescript. ${describeError(error).message}`,
    )
  }
}
