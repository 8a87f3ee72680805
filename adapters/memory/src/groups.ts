// Groups, their members, and who owns which lane.
import type { PolybusError } from '@polybus/core'
import type { Broker, Channel, Entry, Group, Handed, Lane, Member } from './state.ts'
import { createLane, giveBack, loseLane } from './lanes.ts'
import { finishedBy, neededBy } from './log.ts'

/** A new group, from the oldest message that is kept or from the next one that is written. */
export function createGroup(broker: Broker, channel: Channel, name: string, from: 'beginning' | 'end'): Group {
  const group: Group = {
    name,
    channel,
    lanes: [],
    owned: channel.keyed || !broker.abilities.singleSettle,
    marks: new Map(),
    letters: new Map(),
    members: [],
    ghosts: new Set(),
    deleted: false,
    queued: 0,
    queueSeq: 0,
    letterSeq: 0,
    turn: 0,
  }
  for (const partition of channel.partitions) {
    const lane = createLane(broker.clock, group, partition, wakeLane)
    partition.lanes.push(lane)
    group.lanes.push(lane)
    if (from === 'end') continue
    lane.next = partition.head
    for (let entry = partition.head; entry; entry = entry.next) {
      neededBy(channel, entry)
      lane.waiting++
    }
  }
  channel.groups.set(name, group)
  return group
}

/** Everything the group had is gone: its position, retries and dead letters. */
export function removeGroup(broker: Broker, group: Group, error: PolybusError): void {
  const { channel, members } = group
  const prefix = !broker.abilities.singleSettle
  group.deleted = true
  channel.groups.delete(group.name)
  const lost = members.map((member) => group.lanes.flatMap((lane) => loseLane(lane, member, prefix)))
  for (const lane of group.lanes) {
    for (const entry of lane.returned) if (!entry.queued) finishedBy(channel, entry)
    for (let entry: Entry | undefined = lane.next; entry; entry = entry.next) finishedBy(channel, entry)
    lane.partition.lanes.splice(lane.partition.lanes.indexOf(lane), 1)
  }
  group.members = []
  for (const lane of group.lanes) lane.arm()
  for (const [index, member] of members.entries()) {
    member.leases.stop()
    member.lanes = []
    member.lost(lost[index] ?? [])
    member.end(error)
  }
}

export function join(broker: Broker, member: Member): void {
  const { group } = member
  group.members.push(member)
  if (group.owned) share(broker, group)
  else member.lanes = group.lanes
}

/** `crashed` members keep their leases until these run out; all others give back what they hold. */
export function leave(broker: Broker, member: Member, crashed: boolean): readonly Handed[] {
  const { group } = member
  const given: Handed[] = []
  group.members = group.members.filter((other) => other !== member)
  if (crashed) {
    member.crashed = true
    for (let item = member.leases.first; item; item = item.next) item.from.orphans++
    if (member.inFlight > 0) group.ghosts.add(member)
    else member.leases.stop()
  } else {
    for (let item = member.leases.first; item; item = item.next) given.push(item)
    // Where lanes go by position they are lost as a whole, in the order of the log.
    if (broker.abilities.singleSettle) for (const handed of given) giveBack(handed, true)
    else for (const lane of group.lanes) if (lane.owner === member) loseLane(lane, member, true)
    member.leases.stop()
  }
  if (group.owned) {
    for (const lane of group.lanes) {
      if (lane.owner !== member) continue
      lane.owner = undefined
      lane.revoked = false
    }
    share(broker, group)
  }
  member.lanes = []
  for (const lane of group.lanes) lane.arm()
  wakeGroup(group)
  return given
}

/**
 * Lanes evenly, within one, and as few as possible change hands. A lane with deliveries under way is revoked first: its
 * owner lets what runs finish, for at most one lease, and only then it moves.
 */
function share(broker: Broker, group: Group): void {
  const { lanes, members } = group
  if (members.length === 0) return
  const owns = new Map<Member, number>(members.map((member) => [member, 0]))
  for (const { owner, revoked } of lanes) if (owner && !revoked) owns.set(owner, (owns.get(owner) ?? 0) + 1)
  const base = Math.floor(lanes.length / members.length)
  // Who owns most keeps the odd ones.
  const byOwned = members.toSorted((a, b) => (owns.get(b) ?? 0) - (owns.get(a) ?? 0))
  const quota = new Map<Member, number>(
    byOwned.map((member, index) => [member, base + (index < lanes.length % members.length ? 1 : 0)]),
  )
  const moving: Lane[] = []
  for (const lane of lanes.toReversed()) {
    const { owner } = lane
    if (!owner || lane.revoked || (owns.get(owner) ?? 0) <= (quota.get(owner) ?? 0)) continue
    owns.set(owner, (owns.get(owner) ?? 0) - 1)
    if (lane.inFlight > lane.orphans) {
      moving.push(lane)
      continue
    }
    loseLane(lane, owner, !broker.abilities.singleSettle)
    lane.owner = undefined
  }
  for (const lane of lanes) lane.owner ??= members.find((member) => give(owns, quota, member))
  for (const lane of moving) lane.revoked = true
  for (const member of members) member.lanes = lanes.filter((lane) => lane.owner === member && !lane.revoked)
  for (const lane of moving) revoke(broker, lane)
  wakeGroup(group)
}

/** What is longer under way than this is lost to the old owner. */
const REVOKE_MS = 30_000

function revoke(broker: Broker, lane: Lane): void {
  const { owner, group } = lane
  if (!owner) return
  let moved = false
  const move = (): void => {
    if (moved) return
    moved = true
    timer.cancel()
    // Its owner left meanwhile: then the lane was given to others already.
    if (lane.owner !== owner || !lane.revoked) return
    const lost = loseLane(lane, owner, !broker.abilities.singleSettle)
    lane.owner = undefined
    lane.revoked = false
    owner.lost(lost)
    share(broker, group)
  }
  const timer = broker.clock.timer(broker.limits.leaseMs ?? REVOKE_MS, move)
  const held: Handed[] = []
  for (let item = owner.leases.first; item; item = item.next) if (item.from === lane) held.push(item)
  owner.revoke(held).then(move, move)
}

function give(owns: Map<Member, number>, quota: Map<Member, number>, member: Member): boolean {
  const owned = owns.get(member) ?? 0
  if (owned >= (quota.get(member) ?? 0)) return false
  owns.set(member, owned + 1)
  return true
}

/** Each member in turn, so that where they share lanes no one is always first. */
export function wakeGroup(group: Group): void {
  const { members } = group
  if (members.length === 1) members[0]?.wake()
  else {
    const start = group.turn++
    for (let index = 0; index < members.length; index++) members[(start + index) % members.length]?.wake()
  }
}

export function wakeLane(lane: Lane): void {
  if (lane.group.owned) lane.owner?.wake()
  else wakeGroup(lane.group)
}
