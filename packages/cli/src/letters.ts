// What all commands about dead letters do first: connect, and find the channel, the group and what is selected.
import type { Bus, DeadLetter, DeadLetters, IdempotencyStore, Selection } from '@polybus/core'
import { withBus } from './bus.ts'
import { findChannel, type Found, type Manner, mustBeThere, storeOf } from './channels.ts'
import { type Given, type Io, UsageError } from './command.ts'
import { timeOf } from './times.ts'

export interface Letters extends Found {
  readonly bus: Bus
  readonly name: string
  readonly group: string
  readonly letters: DeadLetters<unknown, unknown>
  /** Where messages are parked behind dead letters, if that is known here. */
  readonly store: IdempotencyStore<unknown> | undefined
  /** Again, as a channel known by its name alone would write it. */
  as(manner: Manner): Promise<DeadLetters<unknown, unknown>>
}
export type Letter = DeadLetter<unknown>

export function withLetters(given: Given, io: Io, use: (found: Letters) => Promise<number>): Promise<number> {
  const [name = '', group = ''] = given.args
  return withBus(given, io, 'verify', async (bus) => {
    const found = await findChannel(bus, given, io, name, [group])
    mustBeThere(name, found)
    const { channel } = found
    const store = await storeOf(given, io, name, group)
    return use({
      ...found,
      bus,
      name,
      group,
      store,
      letters: bus.deadLetters(channel, group, { store }),
      as: async (manner) => {
        const again = await findChannel(bus, given, io, name, [group], manner)
        return bus.deadLetters(again.channel, group)
      },
    })
  })
}

/** Ids, or filters that must all match. */
export function selectionOf(given: Given, { clock }: Io, ids: readonly string[]): Selection {
  const filters = {
    reason: given.text('reason'),
    errorName: given.text('error'),
    key: given.text('key'),
    since: timeOf(given.text('since'), '--since', clock.wall()),
    until: timeOf(given.text('until'), '--until', clock.wall()),
  }
  if (ids.length === 0) return filters
  if (!isAll(filters)) throw new UsageError('Give ids or filters, not both.')
  return { ids }
}

export const isAll = (selection: Selection): boolean =>
  !('ids' in selection) && Object.values(selection).every((value) => value === undefined)

/** As {@link selectionOf}; all letters only where that was said. */
export function chosen(given: Given, io: Io, ids: readonly string[]): Selection {
  const selection = selectionOf(given, io, ids)
  if (isAll(selection) !== given.flag('all'))
    throw new UsageError(
      given.flag('all') ? 'Give --all, or ids or filters, not both.' : 'Which ones? Give ids, filters, or --all.',
    )
  return selection
}

export function describeSelection(selection: Selection): string {
  if ('ids' in selection)
    return selection.ids.length === 1 ? `the dead letter ${selection.ids[0]}` : `${selection.ids.length} dead letters`
  const { reason, errorName, key, since, until } = selection
  const parts = [
    reason && `reason ${reason}`,
    errorName && `error ${errorName}`,
    key && `key ${key}`,
    since && `last failed since ${since.toISOString()}`,
    until && `last failed until ${until.toISOString()}`,
  ].filter(Boolean)
  return parts.length === 0 ? 'all dead letters' : `the dead letters with ${parts.join(', ')}`
}
