import type { AnyChannel, Bus, Inspection } from '@polybus/core'
import { withBus } from '../bus.ts'
import { definitionsOf, findChannel, type Found, groupsOf } from '../channels.ts'
import { type Command, DONE, type Given, INCOMPLETE, type Io, UsageError } from '../command.ts'
import { confirm } from '../confirm.ts'
import { CHANNEL, GROUPS, JSON_LINES } from '../options.ts'

export const topologyPlan: Command = {
  name: 'topology plan',
  takes: ['[channel...]'],
  summary: 'shows what channels need and the broker lacks, or has otherwise',
  about: 'Changes nothing. Ends with 1 where something is missing or different, so that a deployment can check it.',
  options: { ...GROUPS, ...JSON_LINES, ...CHANNEL },
  examples: ['topology plan --channels ./dist/channels.js', 'topology plan orders --groups email,charge --keyed'],
  looks: true,
  run: (given, io) =>
    withBus(given, io, 'create', async (bus) => {
      const found = await allChannels(bus, given, io)
      const wrong = await printAll(found, given, io)
      if (!wrong) io.say('Everything is there.')
      return wrong ? INCOMPLETE : DONE
    }),
}

export const topologyApply: Command = {
  name: 'topology apply',
  takes: ['[channel...]'],
  summary: 'creates what channels need and the broker lacks',
  about: 'Shows the plan first. What is there but different is never changed: it is refused, and nothing is created.',
  options: {
    ...GROUPS,
    yes: { type: 'flag', text: 'does not ask; needed where there is no terminal to ask at' },
    ...JSON_LINES,
    ...CHANNEL,
  },
  examples: ['topology apply --channels ./dist/channels.js', 'topology apply orders --groups email,charge --yes'],
  run: (given, io) =>
    withBus(given, io, 'create', async (bus) => {
      const found = await allChannels(bus, given, io)
      const wrong = await printAll(found, given, io)
      const problem = found.find(({ inspection }) => inspection.problems.length > 0)?.inspection.problems[0]
      if (problem) throw problem
      if (found.some(({ inspection }) => inspection.conflicts.length > 0)) {
        io.say('polybus: what is different has to be mended by hand first. Nothing was done.')
        return INCOMPLETE
      }
      if (!wrong) {
        io.say('Everything is there.')
        return DONE
      }
      if (!(await confirm('Create this?', given, io))) return INCOMPLETE
      await bus.prepare(...found.map(({ channel }) => channel))
      io.say('Done.')
      return DONE
    }),
}

/** Those that were named, or all of the file. */
export async function allChannels(bus: Bus, given: Given, io: Io): Promise<readonly Found[]> {
  const file = given.text('channels')
  const names =
    given.args.length > 0
      ? given.args
      : file === undefined
        ? []
        : namesOf((await definitionsOf(file, io.directory)).channels)
  if (names.length === 0) throw new UsageError('Which channels? Name them, or give --channels FILE.')
  return Promise.all(names.map((name) => findChannel(bus, given, io, name, groupsOf(given))))
}
const namesOf = (channels: readonly AnyChannel[]): readonly string[] => channels.map(({ name }) => name)

/** A line of a plan, with its sign. */
export function planOf({
  missing,
  conflicts,
  problems,
}: Inspection): readonly (readonly [sign: string, status: string, text: string])[] {
  return [
    ...missing.map(({ text }) => ['+', 'missing', text] as const),
    ...conflicts.map(({ text }) => ['!', 'different', text] as const),
    ...problems.map(({ message }) => ['?', 'unknown', message] as const),
  ]
}

/** Answers whether there was anything to print. */
async function printAll(found: readonly Found[], given: Given, io: Io): Promise<boolean> {
  let any = false
  for (const { channel, inspection } of found)
    for (const [sign, status, text] of planOf(inspection)) {
      any = true
      await io.out(given.flag('json') ? JSON.stringify({ channel: channel.name, status, text }) : `${sign} ${text}`)
    }
  return any
}
