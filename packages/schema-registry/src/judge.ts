// A schema of ours against a subject: whether it is registered, whether it may be, and whom it would break.
import { describeError } from '@polybus/core'
import type { Level, RegistryAdmin, Version } from './admin.ts'
import type { Format } from './format.ts'
import type { SchemaText } from './schema.ts'

export interface Verdict {
  readonly subject: string
  /** `new`: the subject has none yet; `invalid`: it is no schema. */
  readonly status: 'registered' | 'compatible' | 'incompatible' | 'new' | 'invalid'
  /** Of the registered one that is equal, or else of the latest. */
  readonly version: number | undefined
  readonly id: number | undefined
  readonly level: Level
  /** What would break, and for whom: a sentence each. */
  readonly breaks: readonly string[]
}
export type Judge = (
  format: Format,
  subject: string,
  local: SchemaText,
  message: string | undefined,
) => Promise<Verdict>

export function createJudge(admin: RegistryAdmin): Judge {
  return async (format, subject, local, message) => {
    const [versions, level, found] = await Promise.all([
      admin.versions(subject),
      admin.level(subject),
      admin.find(subject, local),
    ])
    const latest = versions.at(-1)
    const verdict = { subject, level, breaks: [], id: found?.id, version: found?.version ?? latest }
    if (found && found.version === latest) return { ...verdict, status: 'registered' }
    const own = await admin.whole(local)
    format.check(own)
    if (latest === undefined) return { ...verdict, status: 'new' }
    if (found) {
      // Newer ones came after it, by the rule of then. What matters now is whether it reads what they write.
      const breaks = breaksOf(format, own, await admin.version(subject, latest), 'BACKWARD', message)
      return { ...verdict, status: breaks.length > 0 ? 'incompatible' : 'registered', breaks }
    }
    const transitive = level.endsWith('_TRANSITIVE')
    const { compatible, messages } = await admin.compatible(subject, local, transitive ? 'all' : 'latest')
    if (compatible) return { ...verdict, status: 'compatible' }
    const compared = transitive ? versions : [latest]
    const breaks: string[] = []
    for (const number of compared.toReversed().slice(0, MOST_COMPARED)) {
      const other = await admin.version(subject, number)
      breaks.push(...breaksOf(format, own, other, level, message))
    }
    if (breaks.length === 0)
      breaks.push(
        messages.length > 0
          ? `under ${level}: ${messages.join('; ')}`
          : `under ${level} the registry refuses it, and does not say why`,
      )
    return { ...verdict, status: 'incompatible', breaks }
  }
}

const MOST_COMPARED = 20

function breaksOf(
  format: Format,
  own: Version['schema'],
  { version, id, schema }: Version,
  level: Level,
  message: string | undefined,
): readonly string[] {
  const breaks: string[] = []
  const say = (who: string, fields: readonly string[]): void => {
    if (fields.length > 0) breaks.push(`${who}: ${fields.join('; ')}`)
  }
  const compare = (reader: Version['schema'], writer: Version['schema']): readonly string[] => {
    try {
      return format.differences(reader, writer, message)
    } catch (error) {
      return [describeError(error).message]
    }
  }
  if (!level.startsWith('FORWARD'))
    say(
      `consumers with this schema cannot read what is written with version ${version} (id ${id})`,
      compare(own, schema),
    )
  if (!level.startsWith('BACKWARD'))
    say(
      `consumers with version ${version} (id ${id}) cannot read what is written with this schema`,
      compare(schema, own),
    )
  return breaks
}
