// Handing over, finishing and giving back, lane by lane.
import type { Clock, Timer, WireMessage } from '@polybus/core'
import type { Channel, Entry, Group, Handed, Lane, Mark, Member, Partition } from './state.ts'
import { createHeap } from './heap.ts'
import { NEVER } from './leases.ts'
import { finishedBy, neededBy, positionOf } from './log.ts'
import { foreignId } from './mapping.ts'

/** `wake` tells the lane's members that something fell due. */
export function createLane(clock: Clock, group: Group, partition: Partition, wake: (lane: Lane) => void): Lane {
  const delayed = createHeap()
  let timer: Timer | undefined
  let armedAt = Infinity
  const disarm = (): void => {
    timer?.cancel()
    timer = undefined
    armedAt = Infinity
  }
  const lane: Lane = {
    group,
    partition,
    delayed,
    returned: [],
    sorted: true,
    owner: undefined,
    revoked: false,
    next: undefined,
    waiting: 0,
    inFlight: 0,
    orphans: 0,
    arm() {
      const due = delayed.items[0]
      // Nobody to wake: a far retry must not keep the process alive.
      if (!due || group.members.length === 0) return disarm()
      // What is due and not taken yet has been announced.
      if (due.dueAt >= armedAt || due.dueAt <= clock.now()) return undefined
      disarm()
      armedAt = due.dueAt
      timer = clock.timer(armedAt - clock.now(), () => {
        disarm()
        wake(lane)
        lane.arm()
      })
      return undefined
    },
    frontier: undefined,
    ahead: new Set(),
    durable: new Map(),
  }
  return lane
}

/** The entry to hand over next: what came back, what fell due, then the log. */
function peek(lane: Lane, now: number): Entry | undefined {
  const { returned, delayed } = lane
  if (returned.length > 0) {
    if (!lane.sorted) {
      returned.sort((a, b) => Number(a.queued) - Number(b.queued) || b.seq - a.seq)
      lane.sorted = true
    }
    return returned[returned.length - 1]
  }
  const due = delayed.items[0]
  return due && due.dueAt <= now ? due : lane.next
}

function advance(lane: Lane, entry: Entry, prefix: boolean): void {
  if (lane.returned.length > 0) lane.returned.pop()
  else if (entry.queued) lane.delayed.pop()
  else {
    if (prefix) lane.frontier ??= entry
    lane.next = entry.next
    lane.waiting--
  }
}

export interface HandOver {
  readonly prefix: boolean
  readonly leaseMs: number | null
  /** Deliveries are counted. */
  readonly count: boolean
}

/** Up to `room` entries of the lane, within the member's limits. False where a limit was reached. */
export function takeFrom(lane: Lane, member: Member, room: number, now: number, how: HandOver, out: Handed[]): boolean {
  const { maxBytes } = member.source
  const { marks } = lane.group
  const dueAt = how.leaseMs === null ? NEVER : Math.ceil(now + how.leaseMs)
  while (out.length < room) {
    const entry = peek(lane, now)
    if (!entry) break
    // One that is larger than the limit goes alone, or it would never go.
    if (member.bytes + entry.bytes > maxBytes && member.inFlight > 0) return false
    advance(lane, entry, how.prefix)
    const position = positionOf(entry)
    const mark = marks.size > 0 ? marks.get(entry) : undefined
    const handed: Handed = {
      message: shown(mark?.message ?? entry.message, lane, position),
      token: undefined,
      lane: lane.partition.text,
      position,
      count: how.count ? (mark ? mark.count + 1 : 1) : null,
      leaseMs: how.leaseMs,
      entry,
      from: lane,
      member,
      live: true,
      copied: false,
      handOvers: mark ? mark.count + 1 : 1,
      dueAt: NEVER,
      previous: undefined,
      next: undefined,
    }
    handed.token = handed
    lane.inFlight++
    member.inFlight++
    member.bytes += entry.bytes
    member.leases.add(handed, dueAt)
    out.push(handed)
  }
  if (lane.delayed.items.length > 0) lane.arm()
  return out.length < room
}

const shown = (message: WireMessage, lane: Lane, position: string): WireMessage =>
  message.id === undefined ? { ...message, id: foreignId(lane.group.channel.name, position) } : message

/** Ends a delivery, whatever comes of its entry. */
function drop(handed: Handed): void {
  const { from, member } = handed
  handed.live = false
  member.leases.remove(handed)
  member.inFlight--
  member.bytes -= handed.entry.bytes
  from.inFlight--
  if (!member.crashed) return
  from.orphans--
  if (member.inFlight > 0) return
  member.leases.stop()
  member.group.ghosts.delete(member)
}

/** The group is done with the delivery's entry. */
export function finish(handed: Handed, prefix: boolean): void {
  const { from: lane, entry } = handed
  const { group } = lane
  drop(handed)
  if (group.marks.size > 0) group.marks.delete(entry)
  if (entry.queued) group.queued--
  else if (prefix) settlePrefix(lane, entry)
  else finishedBy(group.channel, entry)
}

function settlePrefix(lane: Lane, entry: Entry): void {
  if (entry !== lane.frontier) {
    lane.ahead.add(entry)
    return
  }
  let done: Entry | undefined = entry
  do {
    finishedBy(lane.group.channel, done)
    if (lane.durable.size > 0) lane.durable.get(done)?.(true)
    lane.durable.delete(done)
    done = done.next
  } while (done && done !== lane.next && lane.ahead.delete(done))
  lane.frontier = done === lane.next ? undefined : done
}

/** Back to the lane, in order. `counted` false: as if it had never been handed over. */
export function giveBack(handed: Handed, counted: boolean, message?: WireMessage): void {
  const { from: lane, entry } = handed
  const { marks } = lane.group
  drop(handed)
  const mark: Mark = marks.get(entry) ?? { count: 0, message: undefined }
  mark.count = counted ? handed.handOvers : handed.handOvers - 1
  if (message) mark.message = message
  if (mark.count > 0 || mark.message) marks.set(entry, mark)
  lane.returned.push(entry)
  lane.sorted = lane.returned.length === 1
}

/** All that is out of this lane comes back; with prefix settlement everything behind the frontier too. */
export function loseLane(lane: Lane, member: Member, prefix: boolean): Handed[] {
  const lost: Handed[] = []
  for (let item = member.leases.first; item; item = item.next) if (item.from === lane) lost.push(item)
  for (const handed of lost) giveBack(handed, true)
  if (prefix) backToFrontier(lane)
  return lost
}

function backToFrontier(lane: Lane): void {
  for (const answer of lane.durable.values()) answer(false)
  lane.durable.clear()
  if (!lane.frontier) return
  for (let entry: Entry | undefined = lane.frontier; entry && entry !== lane.next; entry = entry.next) {
    lane.waiting++
    // A log has no memory of what it had been told behind its position.
    if (lane.ahead.has(entry)) lane.group.marks.set(entry, { count: 1, message: undefined })
  }
  lane.next = lane.frontier
  lane.frontier = undefined
  lane.ahead.clear()
  keepQueued(lane)
}

function keepQueued(lane: Lane): void {
  const queued = lane.returned.filter((entry) => entry.queued)
  lane.returned.length = 0
  lane.returned.push(...queued)
}

/** Some deliveries are lost; of an owned lane the later ones too, or they would overtake. */
export function loseSome(member: Member, victims: readonly Handed[], prefix: boolean): Handed[] {
  const lost: Handed[] = []
  if (prefix) {
    for (const lane of new Set(victims.map((handed) => handed.from))) lost.push(...loseLane(lane, member, true))
    return lost
  }
  const earliest = new Map<Lane, number>()
  for (const handed of victims) {
    lost.push(handed)
    const { from, entry } = handed
    if (from.group.owned && !entry.queued) earliest.set(from, Math.min(earliest.get(from) ?? Infinity, entry.seq))
  }
  if (earliest.size > 0) {
    const listed = new Set(lost)
    for (let item = member.leases.first; item; item = item.next) {
      if (item.entry.queued || listed.has(item)) continue
      if (item.entry.seq > (earliest.get(item.from) ?? Infinity)) lost.push(item)
    }
  }
  for (const handed of lost) giveBack(handed, true)
  return lost
}

/** The group goes on from `entry` (undefined: from the end). What is out of the lane was lost before. */
export function moveCursor(channel: Channel, lane: Lane, entry: Entry | undefined): void {
  const { marks } = lane.group
  for (const back of lane.returned) {
    if (back.queued) continue
    marks.delete(back)
    finishedBy(channel, back)
  }
  keepQueued(lane)
  for (let item = lane.next; item; item = item.next) {
    if (marks.size > 0) marks.delete(item)
    finishedBy(channel, item)
  }
  lane.next = entry
  lane.waiting = 0
  for (let item = entry; item; item = item.next) {
    neededBy(channel, item)
    lane.waiting++
  }
}

/** What could be handed over now: not what is in flight, nor what waits for its delay. */
export function deliverable(lanes: readonly Lane[], now: number): number {
  let count = 0
  for (const lane of lanes) {
    count += lane.waiting + lane.returned.length
    for (const entry of lane.delayed.items) if (entry.dueAt <= now) count++
  }
  return count
}
