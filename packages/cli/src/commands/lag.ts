import { describeError } from '@polybus/core'
import { withBus } from '../bus.ts'
import { groupsOf, mustBeThere } from '../channels.ts'
import { type Command, DONE, INCOMPLETE, UsageError } from '../command.ts'
import { CHANNEL, GROUPS, JSON_LINES } from '../options.ts'
import { type Column, line, titles, widthsOf } from '../table.ts'
import { ageOf } from '../times.ts'
import { allChannels } from './topology.ts'

const COLUMNS: readonly Column[] = [
  { title: 'CHANNEL', keep: true },
  { title: 'GROUP', keep: true },
  { title: 'BACKLOG', align: 'right', keep: true },
  { title: 'IN FLIGHT', align: 'right', keep: true },
  { title: 'OLDEST', align: 'right', keep: true },
  { title: 'DEAD LETTERS', align: 'right', keep: true },
]

export const lag: Command = {
  name: 'lag',
  takes: ['[channel...]'],
  summary: 'shows how far groups are behind',
  about: 'A dash is what this broker cannot tell; docs/capabilities.md says what is exact and what an estimate.',
  options: { ...GROUPS, ...JSON_LINES, ...CHANNEL },
  examples: ['lag orders --groups email,charge', 'lag --channels ./dist/channels.js --json'],
  looks: true,
  run: (given, io) =>
    withBus(given, io, 'verify', async (bus) => {
      const found = await allChannels(bus, given, io)
      for (const one of found) {
        if (one.channel.groups.length === 0)
          throw new UsageError(
            `Which groups of '${one.channel.name}'? Give --groups A,B, or --channels FILE that declares them.`,
          )
        mustBeThere(one.channel.name, one)
      }
      if (given.text('groups') !== undefined && groupsOf(given)?.length === 0)
        throw new UsageError('--groups is empty.')
      const asked = found.flatMap(({ channel }) =>
        (channel.groups as readonly string[]).map((group) => ({ channel, group })),
      )
      const read = await Promise.allSettled(asked.map(({ channel, group }) => bus.stats(channel, group)))
      const rows: (readonly string[])[] = []
      let failed = false
      for (const [index, result] of read.entries()) {
        const { channel, group } = asked[index] as (typeof asked)[number]
        if (result.status === 'rejected') {
          failed = true
          io.say(`polybus: ${channel.name}/${group}: ${describeError(result.reason).message}`)
          continue
        }
        const { backlog, inFlight, oldestAgeMs, deadLetters } = result.value
        if (given.flag('json'))
          await io.out(JSON.stringify({ channel: channel.name, group, backlog, inFlight, oldestAgeMs, deadLetters }))
        rows.push([
          channel.name,
          group,
          cell(backlog),
          cell(inFlight),
          oldestAgeMs === null ? '-' : ageOf(oldestAgeMs),
          cell(deadLetters),
        ])
      }
      if (!given.flag('json') && rows.length > 0) {
        const widths = widthsOf(COLUMNS, rows, io.columns)
        for (const row of [titles(COLUMNS), ...rows]) await io.out(line(COLUMNS, widths, row))
      }
      return failed ? INCOMPLETE : DONE
    }),
}

const cell = (value: number | null): string => (value === null ? '-' : String(value))
