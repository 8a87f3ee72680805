import { invalid, type RewindTarget } from '@polybus/core'
import type { Broker, Entry, Group, Handed, Lane, Member } from './state.ts'
import { wakeGroup } from './groups.ts'
import { loseLane, moveCursor } from './lanes.ts'
import { parsePosition } from './mapping.ts'

/**
 * Moves a group within what is kept. A position moves its own partition alone; all other targets move all of them.
 * Retries that the group already queued stay. Time is that of writing.
 */
export function rewind(broker: Broker, group: Group, to: RewindTarget): void {
  const moves = movesOf(group, to)
  const lost = new Map<Member, Handed[]>()
  for (const [lane, entry] of moves) {
    for (const member of [...group.members, ...group.ghosts]) {
      const handed = loseLane(lane, member, !broker.abilities.singleSettle)
      lost.set(member, [...(lost.get(member) ?? []), ...handed])
    }
    moveCursor(group.channel, lane, entry)
  }
  for (const [member, handed] of lost) if (!member.crashed) member.lost(handed)
  wakeGroup(group)
}

function movesOf(group: Group, to: RewindTarget): Map<Lane, Entry | undefined> {
  const all = (find: (lane: Lane) => Entry | undefined): Map<Lane, Entry | undefined> =>
    new Map(group.lanes.map((lane) => [lane, find(lane)]))
  if (to.kind === 'beginning') return all((lane) => lane.partition.head)
  if (to.kind === 'end') return all(() => undefined)
  if (to.kind === 'time') return all((lane) => first(lane, (entry) => entry.stamp.wall >= to.time))
  const place = parsePosition(to.position)
  const lane = place && group.lanes[place.partition]
  if (!lane) throw invalid('rewind', `'${to.position}' is no position of the channel '${group.channel.name}'.`)
  return new Map([[lane, first(lane, (entry) => entry.offset >= place.offset)]])
}

function first(lane: Lane, match: (entry: Entry) => boolean): Entry | undefined {
  let entry = lane.partition.head
  while (entry && !match(entry)) entry = entry.next
  return entry
}
