import type { Stats } from '@polybus/core'
import type { Broker, Group, Stamp } from './state.ts'
import { deliverable } from './lanes.ts'

/**
 * Exact, of one moment. `backlog` is what could be delivered now: not what is in flight, nor what waits for its delay.
 * `oldestAgeMs` is the age of the oldest message of both backlog and flight.
 */
export function readStats({ clock }: Broker, group: Group): Stats {
  const now = clock.now()
  let inFlight = 0
  let oldest = Infinity
  const see = (stamp: Stamp): void => {
    if (stamp.now < oldest) oldest = stamp.now
  }
  for (const lane of group.lanes) {
    inFlight += lane.inFlight
    if (lane.next) see(lane.next.stamp)
    for (const entry of lane.returned) see(entry.stamp)
    for (const entry of lane.delayed.items) {
      if (entry.dueAt <= now) see(entry.stamp)
    }
  }
  for (const member of [...group.members, ...group.ghosts])
    for (let item = member.leases.first; item; item = item.next) see(item.entry.stamp)
  return {
    backlog: deliverable(group.lanes, now),
    inFlight,
    oldestAgeMs: oldest === Infinity ? 0 : now - oldest,
    deadLetters: group.letters.size,
  }
}
