import { type Command, DONE, UsageError } from '../command.ts'
import { JSON_LINES, REGISTRY } from '../options.ts'
import { adminOf, each, localsOf } from '../schemas.ts'
import { type Column, pagedTable } from '../table.ts'

const COLUMNS: readonly Column[] = [
  { title: 'SUBJECT', keep: true },
  { title: 'VERSIONS', align: 'right', keep: true },
  { title: 'LATEST ID', align: 'right', keep: true },
  { title: 'TYPE', keep: true },
  { title: 'COMPATIBILITY', keep: true },
]

interface Listed {
  readonly subject: string
  readonly versions: readonly number[]
  /** Of the latest version; these are there where there is one. */
  readonly id?: number
  readonly type?: string
  readonly compatibility?: string
}

export const schemaLs: Command = {
  name: 'schema ls',
  takes: ['[subject...]'],
  summary: 'lists what a schema registry has',
  about: 'All subjects, or those that are named; with --channels those of the channels alone.',
  options: { ...JSON_LINES, ...REGISTRY },
  examples: ['schema ls --registry http://localhost:8081', 'schema ls --channels ./dist/channels.js --json'],
  brokerless: true,
  looks: true,
  async run(given, io) {
    const admin = await adminOf(given, io)
    const named =
      given.args.length > 0
        ? given.args
        : given.text('channels') === undefined
          ? undefined
          : [...new Set((await localsOf(given, io)).map(({ target }) => target.subject))]
    const subjects = named ?? (await admin.subjects())
    const table = pagedTable(COLUMNS, io)
    const read = async (subject: string): Promise<Listed> => {
      const versions = await admin.versions(subject)
      if (versions.length === 0) return { subject, versions }
      const [{ id, schema }, compatibility] = await Promise.all([
        admin.version(subject, 'latest'),
        admin.level(subject),
      ])
      return { subject, versions, id, type: schema.type, compatibility }
    }
    for await (const listed of each(subjects, read)) {
      const { subject, versions, id, type, compatibility } = listed
      if (versions.length === 0 && given.args.length > 0)
        throw new UsageError(`The registry has no subject '${subject}'.`)
      if (given.flag('json')) await io.out(JSON.stringify(listed))
      else await table.add([subject, String(versions.length), String(id ?? '-'), type ?? '-', compatibility ?? '-'])
    }
    await table.end()
    if (subjects.length === 0) io.say('None.')
    return DONE
  },
}
