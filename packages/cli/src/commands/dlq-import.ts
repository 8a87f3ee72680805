import type { WireMessage } from '@polybus/core'
import { type Command, DONE, type Io, UsageError } from '../command.ts'
import { withLetters } from '../letters.ts'
import { type Line, linesOf, parseLine } from '../lines.ts'
import { CHANNEL, JSON_LINES } from '../options.ts'
import { act } from '../progress.ts'
import { fromRecord } from '../record.ts'

export const dlqImport: Command = {
  name: 'dlq import',
  takes: ['<channel>', '<group>', '[file]'],
  summary: 'puts exported dead letters back among the dead letters',
  about: `From a file, or from stdin. They are dead letters again, as they were: nothing runs until \`polybus dlq replay\`. Importing twice
gives two of each. A line that is no letter ends it; those before it are put back, so mend the file and import it from that line on.`,
  options: {
    'from-other': { type: 'flag', text: 'also letters that were exported from another channel or group' },
    'dry-run': { type: 'flag', text: 'reads everything, and does nothing' },
    ...JSON_LINES,
    ...CHANNEL,
  },
  examples: ['dlq import orders charge letters.jsonl', 'dlq import orders charge --dry-run < letters.jsonl'],
  run: (given, io) => {
    const [name = '', group = '', file = '-'] = given.args
    const from = given.flag('from-other') ? undefined : { name, group }
    return withLetters(given, io, async ({ letters }) => {
      if (!given.flag('dry-run'))
        return act(given, io, 'imported', undefined, (options) => letters.restore(read(file, io, from), options))
      let count = 0
      for await (const { id } of read(file, io, from)) {
        count++
        if (given.flag('json')) await io.out(JSON.stringify({ id }))
      }
      io.say(`${count} would be imported. Nothing was done.`)
      return DONE
    })
  },
}

async function* read(
  file: string,
  io: Io,
  from: { readonly name: string; readonly group: string } | undefined,
): AsyncGenerator<WireMessage> {
  for await (const line of linesOf(file, io)) yield letterOf(line, from)
}

function letterOf(line: Line, from: { readonly name: string; readonly group: string } | undefined): WireMessage {
  const value = parseLine(line)
  try {
    const { channel, group, message } = fromRecord(value)
    if (from && (channel !== from.name || group !== from.group))
      throw new UsageError(`it is a letter of ${String(channel)}/${String(group)} (--from-other takes it all the same)`)
    return message
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`line ${line.number} is no dead letter: ${error.message}.`)
    throw error
  }
}
