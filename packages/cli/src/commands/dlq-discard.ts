import { type Command, INCOMPLETE } from '../command.ts'
import { confirm } from '../confirm.ts'
import { chosen, describeSelection, withLetters } from '../letters.ts'
import { ACT, CHANNEL, JSON_LINES, SELECTION } from '../options.ts'
import { act } from '../progress.ts'
import { dryRun, totalOf } from './dlq-replay.ts'

export const dlqDiscard: Command = {
  name: 'dlq discard',
  takes: ['<channel>', '<group>', '[id...]'],
  summary: 'deletes dead letters for good',
  about: 'What was discarded cannot be had back: `polybus dlq export` first, if in doubt.',
  options: { ...SELECTION, ...ACT, ...JSON_LINES, ...CHANNEL },
  examples: [
    'dlq discard orders charge o-17',
    'dlq discard orders charge --reason undecodable --until 30d --dry-run',
    'dlq discard orders charge --all --yes',
  ],
  run: (given, io) => {
    const [name, group, ...ids] = given.args
    const selection = chosen(given, io, ids)
    return withLetters(given, io, async (found) => {
      if (given.flag('dry-run')) return dryRun(found, selection, io, given.flag('json'), 'discarded')
      const question = `Delete ${describeSelection(selection)} of ${name}/${group} for good?`
      if (!(await confirm(question, given, io))) return INCOMPLETE
      const total = await totalOf(found, selection)
      return act(given, io, 'discarded', total, (options) => found.letters.discard(selection, options))
    })
  },
}
