import type { Format, RegistryAdmin, Schema } from '@polybus/schema-registry/tools'
import { createTwoFilesPatch } from 'diff'
import { type Command, DONE, type Given, INCOMPLETE, type Io, UsageError } from '../command.ts'
import { JSON_LINES, REGISTRY } from '../options.ts'
import { adminOf, localsOf, pretty, tools } from '../schemas.ts'

interface Side {
  readonly name: string
  readonly schema: Schema
}
interface Pair {
  readonly format: Format
  readonly message: string | undefined
  readonly from: Side
  readonly to: Side
}

export const schemaDiff: Command = {
  name: 'schema diff',
  takes: ['<channel or subject>'],
  summary: "shows how a channel's schema differs from the registered one, or two versions of a subject from each other",
  about: `With --channels the schema of the channel is compared with the latest, or with --from; without it two versions of the subject, by default the
last two. Below the differing lines stands what they mean for those who read. Ends with 0 where there is no difference, with 1 where there is.`,
  options: {
    from: { type: 'whole', value: 'VERSION', text: 'the older one' },
    to: { type: 'whole', value: 'VERSION', text: 'the newer one, of a subject' },
    ...JSON_LINES,
    ...REGISTRY,
  },
  examples: [
    'schema diff orders --channels ./dist/channels.js',
    'schema diff orders-value --from 1 --to 3 --registry http://localhost:8081',
  ],
  brokerless: true,
  looks: true,
  async run(given, io) {
    const pairs = given.text('channels') === undefined ? [await versionsOf(given, io)] : await localPairs(given, io)
    let differ = false
    for (const { format, message, from, to } of pairs) {
      const [older, newer] = [pretty(from.schema.schema), pretty(to.schema.schema)]
      const newReads = meaning(() => format.differences(to.schema, from.schema, message))
      const oldReads = meaning(() => format.differences(from.schema, to.schema, message))
      if (given.flag('json'))
        await io.out(
          JSON.stringify({
            from: from.name,
            to: to.name,
            equal: older === newer,
            newCannotRead: newReads,
            oldCannotRead: oldReads,
          }),
        )
      if (older === newer) continue
      differ = true
      if (given.flag('json')) continue
      const patch = createTwoFilesPatch(from.name, to.name, older, newer, undefined, undefined, { context: 3 })
      for (const text of patch.trimEnd().split('\n').slice(1)) await io.out(text)
      await io.out('')
      await io.out(`Consumers with the newer one read what is written with the older one: ${sentence(newReads)}`)
      await io.out(`Consumers with the older one read what is written with the newer one: ${sentence(oldReads)}`)
    }
    if (!differ) io.say('No difference.')
    return differ ? INCOMPLETE : DONE
  },
}

const sentence = (texts: readonly string[]): string =>
  texts.length === 0 ? 'yes, as far as can be seen' : `no: ${texts.join('; ')}`

function meaning(compare: () => readonly string[]): readonly string[] {
  try {
    return compare()
  } catch (error) {
    return [(error as Error).message]
  }
}

async function localPairs(given: Given, io: Io): Promise<readonly Pair[]> {
  if (given.number('to') !== undefined)
    throw new UsageError('--to is the schema of the channel: leave --channels or --to out.')
  const locals = await localsOf(given, io)
  const pairs = await Promise.all(
    locals.map(async ({ own, target }): Promise<readonly Pair[]> => {
      const { local, subject } = target
      if (!local) return []
      const from = await sideOf(own.admin, subject, given.number('from') ?? 'latest')
      const to = { name: `${subject} of the channel`, schema: await own.admin.whole(local) }
      return [{ format: own.format, message: own.message, from, to }]
    }),
  )
  if (pairs.flat().length === 0)
    throw new UsageError(`Channel '${given.args[0]}' has no schema of its own: it writes the latest.`)
  return pairs.flat()
}

async function versionsOf(given: Given, io: Io): Promise<Pair> {
  const [subject = ''] = given.args
  const admin = await adminOf(given, io)
  const versions = await admin.versions(subject)
  if (versions.length === 0) throw new UsageError(`The registry has no subject '${subject}'.`)
  const to = given.number('to') ?? versions.at(-1) ?? 1
  const from = given.number('from') ?? versions.filter((version) => version < to).at(-1)
  if (from === undefined) throw new UsageError(`Subject '${subject}' has no version before ${to}.`)
  const [older, newer] = await Promise.all([sideOf(admin, subject, from), sideOf(admin, subject, to)])
  const { formatOf } = await tools()
  return { format: formatOf(newer.schema.type), message: undefined, from: older, to: newer }
}

async function sideOf(admin: RegistryAdmin, subject: string, wanted: number | 'latest'): Promise<Side> {
  const versions = await admin.versions(subject)
  if (versions.length === 0) throw new UsageError(`The registry has no subject '${subject}' yet.`)
  if (wanted !== 'latest' && !versions.includes(wanted))
    throw new UsageError(`Subject '${subject}' has no version ${wanted}. It has ${versions.join(', ')}.`)
  const { version, id, schema } = await admin.version(subject, wanted)
  return { name: `${subject} version ${version} (id ${id})`, schema }
}
