import { type Command, DONE } from '../command.ts'
import { selectionOf, withLetters } from '../letters.ts'
import { CHANNEL, SELECTION } from '../options.ts'
import { toRecord } from '../record.ts'

export const dlqExport: Command = {
  name: 'dlq export',
  takes: ['<channel>', '<group>', '[id...]'],
  summary: 'writes dead letters as lines of JSON',
  about: `Each line holds all of a letter: body (base64 where it is not text), headers, id, reason, error and times. The letters stay
where they are. \`polybus dlq import\` puts them back, byte for byte.`,
  options: { ...SELECTION, ...CHANNEL },
  examples: [
    'dlq export orders charge > letters.jsonl',
    'dlq export orders charge --reason undecodable | gzip > bad.gz',
  ],
  looks: true,
  run: (given, io) => {
    const [name = '', group = '', ...ids] = given.args
    const selection = selectionOf(given, io, ids)
    return withLetters(given, io, async ({ letters }) => {
      let count = 0
      for await (const letter of letters.list(selection, { signal: io.signal })) {
        await io.out(JSON.stringify(toRecord(letter, name, group)))
        io.status(`exported ${++count}`)
      }
      io.status('')
      io.say(`exported ${count}`)
      return DONE
    })
  },
}
