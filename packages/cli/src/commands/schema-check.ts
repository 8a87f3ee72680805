import type { Verdict } from '@polybus/schema-registry/tools'
import { type Command, DONE, INCOMPLETE } from '../command.ts'
import { JSON_LINES, REGISTRY } from '../options.ts'
import { each, isWrong, type Local, localsOf, verdictOf } from '../schemas.ts'

export const schemaCheck: Command = {
  name: 'schema check',
  takes: ['[channel...]'],
  summary: 'compares the schemas of channels with the registry, and says what would break, and for whom',
  about: `Under the compatibility level of each subject. Changes nothing. Ends with 1 where something would break, so that a pull request can be
checked; with --registered also where a schema is not registered yet, as a deployment needs it.`,
  options: {
    registered: { type: 'flag', text: 'ends with 1 also where a schema is not registered' },
    ...JSON_LINES,
    ...REGISTRY,
  },
  examples: [
    'schema check --channels ./dist/channels.js',
    'schema check orders --channels ./dist/channels.js --registered --registry http://localhost:8081',
  ],
  brokerless: true,
  looks: true,
  async run(given, io) {
    const locals = await localsOf(given, io)
    let wrong = 0
    for await (const { local, verdict, missing } of each(locals, examine)) {
      const breaks = isWrong(verdict) || missing
      if (breaks || (given.flag('registered') && verdict && verdict.status !== 'registered')) wrong++
      const { channel, target } = local
      if (given.flag('json'))
        await io.out(
          JSON.stringify({
            channel,
            ...(verdict ?? { subject: target.subject, status: missing ? 'missing' : 'latest', breaks: [] }),
          }),
        )
      else for (const text of linesOf(local, verdict, missing)) await io.out(text)
    }
    if (wrong > 0)
      io.say(
        `${wrong} of ${locals.length} schemas ${given.flag('registered') ? 'are not as they have to be' : 'would break something, or are none'}.`,
      )
    return wrong > 0 ? INCOMPLETE : DONE
  },
}

interface Examined {
  readonly local: Local
  readonly verdict: Verdict | undefined
  /** It writes the latest of a subject that has none. */
  readonly missing: boolean
}
async function examine(local: Local): Promise<Examined> {
  const verdict = await verdictOf(local)
  const { own, target } = local
  return { local, verdict, missing: !verdict && (await own.admin.versions(target.subject)).length === 0 }
}

export function linesOf({ channel, target }: Local, verdict: Verdict | undefined, missing = false): readonly string[] {
  const where = `${channel}: ${target.subject}`
  if (!verdict)
    return [
      missing
        ? `BREAKS  ${where}: nothing is registered, and the channel writes the latest`
        : `ok      ${where}: writes the latest`,
    ]
  const { status, version, id, level, breaks } = verdict
  const unchecked = level === 'NONE' ? '; the subject has the level NONE, so nothing is checked' : ''
  if (status === 'registered') return [`ok      ${where}: registered, version ${version} (id ${id})`]
  if (status === 'new') return [`new     ${where}: the subject has no schema yet`]
  if (status === 'compatible')
    return [`new     ${where}: compatible with version ${version} under ${level}, not registered yet${unchecked}`]
  if (status === 'invalid') return [`INVALID ${where}:`, ...breaks.map((text) => `          ${text}`)]
  return [`BREAKS  ${where}, under ${level}:`, ...breaks.map((text) => `          ${text}`)]
}
