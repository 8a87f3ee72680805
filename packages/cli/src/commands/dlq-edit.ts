import { type Command, INCOMPLETE, UsageError } from '../command.ts'
import { confirm } from '../confirm.ts'
import { assign, fromEditor, parseValue } from '../edit-value.ts'
import { type Letter, withLetters } from '../letters.ts'
import { CHANNEL, JSON_LINES } from '../options.ts'
import { act } from '../progress.ts'
import { bodyOf } from './dlq-show.ts'

export const dlqEdit: Command = {
  name: 'dlq edit',
  takes: ['<channel>', '<group>', '<id>'],
  summary: 'replays one dead letter with another value',
  about: `Without --value and --set $VISUAL or $EDITOR opens the value as JSON; leaving it as it was does nothing. With --channels
the new value is validated, and its key and type are the channel's; otherwise they stay as they were.`,
  options: {
    value: { type: 'text', value: 'JSON', text: 'the new value' },
    set: { type: 'list', value: 'PATH=JSON', text: 'one field of it, such as card.number=41; text needs no quotes' },
    'dry-run': { type: 'flag', text: 'prints the new value, and does nothing' },
    yes: { type: 'flag', text: 'does not ask; needed where there is no terminal to ask at' },
    ...JSON_LINES,
    ...CHANNEL,
  },
  examples: [
    'dlq edit orders charge o-17',
    'dlq edit orders charge o-17 --set customer=c-42 --set cents=2998 --yes',
    `dlq edit orders charge o-17 --value '{"id":"o-17","cents":2998}' --channels ./dist/channels.js`,
  ],
  run: (given, io) => {
    const [name, group, id = ''] = given.args
    const text = given.text('value')
    const sets = given.list('set')
    if (text !== undefined && sets.length > 0) throw new UsageError('Give --value or --set, not both.')
    const asked = text === undefined ? undefined : parseValue(text, '--value')
    return withLetters(given, io, async (found) => {
      const same: Letter[] = []
      for await (const one of found.letters.list({ ids: [id] }, { signal: io.signal })) same.push(one)
      const [letter] = same
      if (letter && same.some((other) => !isCopy(letter, other)))
        throw new UsageError(
          `${same.length} dead letters have the id ${id}, and they are not one message (${sourcesOf(same)}): one value would replace them all. Replay or discard the others first.`,
        )
      if (!letter) {
        io.say(`polybus: no dead letter of ${name}/${group} has the id ${id}.`)
        return INCOMPLETE
      }
      let value = asked
      if (sets.length > 0) value = sets.reduce<unknown>(assign, structuredClone(letter.value))
      else if (text === undefined) {
        const before = letter.value === undefined ? bodyOf(letter) : JSON.stringify(letter.value, undefined, 2)
        const edited = await fromEditor(before, io)
        if (edited === undefined) {
          io.say('It was left as it was: nothing was done.')
          return INCOMPLETE
        }
        value = edited
      }
      if (given.flag('dry-run')) {
        await io.out(JSON.stringify(value))
        io.say('Nothing was done.')
        return 0
      }
      if (!(await confirm(`Replay ${id} with ${JSON.stringify(value)}? Its old value is gone then.`, given, io)))
        return INCOMPLETE
      const { type, key } = letter.message
      const letters = given.text('channels') === undefined ? await found.as({ type, key }) : found.letters
      return act(given, io, 'replayed', 1, (options) =>
        letters.replay({ ids: [id] }, { ...options, edit: () => value }),
      )
    })
  },
}

/** The same message, dead-lettered more than once. */
const isCopy = (one: Letter, other: Letter): boolean =>
  one.message.source === other.message.source &&
  Buffer.compare(one.message.body ?? NOTHING, other.message.body ?? NOTHING) === 0
const NOTHING = new Uint8Array()
const sourcesOf = (letters: readonly Letter[]): string =>
  [...new Set(letters.map(({ message }) => message.source))].map((source) => `source ${source}`).join(', ')
