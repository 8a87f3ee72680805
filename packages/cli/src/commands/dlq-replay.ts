import type { Selection } from '@polybus/core'
import { type Command, DONE, INCOMPLETE, type Io } from '../command.ts'
import { confirm } from '../confirm.ts'
import { chosen, describeSelection, isAll, type Letters, withLetters } from '../letters.ts'
import { ACT, CHANNEL, JSON_LINES, SELECTION } from '../options.ts'
import { act } from '../progress.ts'
import { show, statsOf } from './dlq-ls.ts'

export const dlqReplay: Command = {
  name: 'dlq replay',
  takes: ['<channel>', '<group>', '[id...]'],
  summary: 'sends dead letters to their group again',
  about: `To this group alone, with a new count of attempts and the same id. A letter is taken off when its copy is confirmed; one
that cannot be sent stays. Ctrl-C ends it after the letter under way: those replayed are gone, the rest is where it was.`,
  options: {
    ...SELECTION,
    ...ACT,
    'per-second': { type: 'number', value: 'N', text: 'so many a second at most' },
    ...JSON_LINES,
    ...CHANNEL,
  },
  examples: [
    'dlq replay orders charge o-17 o-18',
    'dlq replay orders charge --error CardDeclined --per-second 50',
    'dlq replay orders charge --all --dry-run',
    'dlq replay orders charge --all --yes --json',
  ],
  run: (given, io) => {
    const [name, group, ...ids] = given.args
    const selection = chosen(given, io, ids)
    const perSecond = given.number('per-second')
    return withLetters(given, io, async (found) => {
      if (given.flag('dry-run')) return dryRun(found, selection, io, given.flag('json'), 'replayed')
      if (!(await confirm(`Replay ${describeSelection(selection)} of ${name}/${group}?`, given, io))) return INCOMPLETE
      const total = await totalOf(found, selection)
      return act(given, io, 'replayed', total, (options) => found.letters.replay(selection, { ...options, perSecond }))
    })
  },
}

/** How many it will be, where that is known beforehand. */
export async function totalOf(found: Letters, selection: Selection): Promise<number | undefined> {
  if ('ids' in selection) return selection.ids.length
  return isAll(selection) ? ((await statsOf(found)).deadLetters ?? undefined) : undefined
}

export async function dryRun(
  { letters }: Letters,
  selection: Selection,
  io: Io,
  json: boolean,
  verb: string,
): Promise<number> {
  const { shown } = await show(letters.list(selection, { signal: io.signal }), io, Infinity, json)
  const absent = 'ids' in selection ? selection.ids.length - shown : 0
  io.say(`${shown} would be ${verb}${absent > 0 ? `, ${absent} are not there` : ''}. Nothing was done.`)
  return absent > 0 ? INCOMPLETE : DONE
}
