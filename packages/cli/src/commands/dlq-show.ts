import { type Command, DONE, INCOMPLETE } from '../command.ts'
import { type Letter, withLetters } from '../letters.ts'
import { CHANNEL, JSON_LINES } from '../options.ts'
import { textOf, toRecord } from '../record.ts'
import { clean } from '../table.ts'

export const dlqShow: Command = {
  name: 'dlq show',
  takes: ['<channel>', '<group>', '<id>'],
  summary: 'shows one dead letter with its body and headers',
  options: { ...JSON_LINES, ...CHANNEL },
  examples: ['dlq show orders charge o-17', 'dlq show orders charge o-17 --json | jq .message.headers'],
  looks: true,
  run: (given, io) =>
    withLetters(given, io, async ({ letters, name, group }) => {
      const [, , id = ''] = given.args
      let found = 0
      for await (const letter of letters.list({ ids: [id] }, { signal: io.signal })) {
        await io.out(given.flag('json') ? JSON.stringify(toRecord(letter, name, group)) : textual(letter, found > 0))
        found++
      }
      if (found > 0) return DONE
      io.say(`polybus: no dead letter of ${name}/${group} has the id ${id}.`)
      return INCOMPLETE
    }),
}

function textual(letter: Letter, another: boolean): string {
  const { id, reason, error, attempts, firstFailedAt, lastFailedAt, message } = letter
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['id', id],
    ['reason', reason],
    ['error', error.name === '' ? undefined : `${error.name}: ${error.message}`],
    ['attempts', String(attempts)],
    ['first failed', firstFailedAt.toISOString()],
    ['last failed', lastFailedAt.toISOString()],
    ['key', message.key],
    ['type', message.type],
    ['source', message.source],
    ['time', message.time.toISOString()],
    ['content type', message.contentType],
    ['schema', message.dataSchema],
    ['position', message.position],
    ['correlation', message.correlationId],
    ['causation', message.causationId],
    ...message.rawHeaders.map(([name, value]): readonly [string, string] => [
      `header ${name}`,
      typeof value === 'string' ? value : Buffer.from(value).toString('base64'),
    ]),
  ]
  const lines = rows.flatMap(([title, value]) =>
    value === undefined || value === '' ? [] : [`${title.padEnd(14)} ${clean(value)}`],
  )
  return [...(another ? [''] : []), ...lines, '', bodyOf(letter)].join('\n')
}

/** What is no JSON is shown as the channel's codec reads it, where that is known. */
export function bodyOf({ message: { body }, value }: Letter): string {
  if (body === null) return '(no body)'
  const text = textOf(body)
  if (value !== undefined && !isJson(text)) return JSON.stringify(value, undefined, 2)
  if (text === undefined) return `(${body.length} bytes, base64)\n${Buffer.from(body).toString('base64')}`
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2)
  } catch {
    return text.split('\n').map(clean).join('\n')
  }
}

function isJson(text: string | undefined): boolean {
  try {
    JSON.parse(text ?? '')
    return true
  } catch {
    return false
  }
}
