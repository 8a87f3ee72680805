import type { Stats } from '@polybus/core'
import { type Command, DONE, type Io } from '../command.ts'
import { isAll, type Letter, type Letters, selectionOf, withLetters } from '../letters.ts'
import { CHANNEL, JSON_LINES, SELECTION } from '../options.ts'
import { type Column, pagedTable } from '../table.ts'
import { shortTime } from '../times.ts'

const LIMIT = 50

export const dlqLs: Command = {
  name: 'dlq ls',
  takes: ['<channel>', '<group>'],
  summary: "lists a group's dead letters, oldest first",
  about: `Reads page by page, so that it does not matter how many there are. On brokers without a cursor (SQS, RabbitMQ) a look
holds what it shows until it ends: meanwhile somebody else's look does not see those letters.`,
  options: {
    ...SELECTION,
    limit: { type: 'whole', value: 'N', text: `so many at most (default ${LIMIT})` },
    all: { type: 'flag', text: 'without a limit' },
    ...JSON_LINES,
    ...CHANNEL,
  },
  examples: [
    'dlq ls orders charge',
    'dlq ls orders charge --error CardDeclined --since 2h',
    'dlq ls orders charge --all --json | jq -r .id',
  ],
  looks: true,
  run: (given, io) => {
    const selection = selectionOf(given, io, [])
    return withLetters(given, io, async (found) => {
      const limit = given.flag('all') ? Infinity : (given.number('limit') ?? LIMIT)
      const total = isAll(selection) ? (await statsOf(found)).deadLetters : null
      const { shown, more } = await show(
        found.letters.list(selection, { signal: io.signal }),
        io,
        limit,
        given.flag('json'),
      )
      const exclusive = found.inspection.capabilities.browse === 'exclusive'
      if (more) io.say(`${total === null || total <= shown ? 'There are' : total - shown} more: --limit N or --all.`)
      else if (exclusive && total !== null && total > shown)
        io.say(`${total - shown} more are held by another look, or are more than one look shows.`)
      else if (shown === 0) io.say(exclusive ? 'None, or another look holds them now.' : 'None.')
      return DONE
    })
  },
}

export const statsOf = ({ bus, channel, group }: Letters): Promise<Stats> => bus.stats(channel, group)

const COLUMNS: readonly Column[] = [
  { title: 'ID', keep: true },
  { title: 'REASON', keep: true },
  { title: 'ERROR' },
  { title: 'ATTEMPTS', align: 'right', keep: true },
  { title: 'KEY' },
  { title: 'LAST FAILED', keep: true },
]
/** Prints letters as they come. */
export async function show(
  letters: AsyncIterable<Letter>,
  io: Io,
  limit: number,
  json: boolean,
): Promise<{ shown: number; more: boolean }> {
  let shown = 0
  let more = false
  const table = pagedTable(COLUMNS, io)
  for await (const letter of letters) {
    if (shown === limit) {
      more = true
      break
    }
    shown++
    if (json) await io.out(JSON.stringify(summaryOf(letter)))
    else await table.add(rowOf(letter))
  }
  await table.end()
  return { shown, more }
}

const rowOf = ({ id, reason, error, attempts, message, lastFailedAt }: Letter): readonly string[] => [
  id,
  reason,
  error.name === '' ? '' : `${error.name}: ${error.message}`,
  String(attempts),
  message.key ?? '',
  shortTime(lastFailedAt),
]

export const summaryOf = (letter: Letter): object => {
  const { id, reason, error, attempts, message, firstFailedAt, lastFailedAt } = letter
  const { key, type, time, position } = message
  return { id, reason, error, attempts, key, type, time, position, firstFailedAt, lastFailedAt }
}
