// The channel's log: what is stored, what each group still has to finish, and what is kept after that.
import type { PolybusError, WireMessage } from '@polybus/core'
import type { Broker, Channel, Entry, Lane, Limits, Partition, Stamp } from './state.ts'
import { busy } from './errors.ts'
import { partitionOf, size } from './mapping.ts'

export interface ChannelShape {
  readonly name: string
  readonly keyed: boolean
  readonly partitions: number | undefined
}

/** Lanes without a wish: 8 where a lane has an owner, else one that all members share. */
export const defaultPartitions = (keyed: boolean, broker: Broker): number =>
  keyed || !broker.abilities.singleSettle ? 8 : 1

export function createChannel(broker: Broker, spec: ChannelShape): Channel {
  const count = spec.partitions ?? defaultPartitions(spec.keyed, broker)
  return {
    name: spec.name,
    keyed: spec.keyed,
    partitions: Array.from({ length: count }, (_, index) => ({
      index,
      text: String(index),
      lanes: [],
      nextOffset: 0,
      head: undefined,
      tail: undefined,
    })),
    groups: new Map(),
    declared: new Set(),
    deleted: false,
    seq: 0,
    turn: 0,
    kept: 0,
    keptBytes: 0,
    unfinished: 0,
    unfinishedBytes: 0,
    firstFinished: undefined,
    lastFinished: undefined,
  }
}

export const entryOf = (
  message: WireMessage,
  seq: number,
  offset: number,
  stamp: Stamp,
  bytes: number,
  partition: Partition,
  queued: boolean,
  dueAt: number,
): Entry => ({
  message,
  seq,
  offset,
  stamp,
  bytes,
  partition,
  queued,
  dueAt,
  remaining: queued ? 1 : 0,
  listed: false,
  previous: undefined,
  next: undefined,
  nextFinished: undefined,
})

/** `<partition>/<offset>`; `r/<n>` in a group's own queue. Not kept: it costs less to make than to hold for each message. */
export const positionOf = ({ queued, partition, offset }: Entry): string =>
  queued ? `r/${offset}` : `${partition.text}/${offset}`

/** The partition of a message: by its key, else in turn. */
export function partitionFor(channel: Channel, key: string | undefined): Partition {
  const { partitions } = channel
  if (partitions.length === 1) return partitions[0] as Partition
  const index = key === undefined ? channel.turn++ % partitions.length : partitionOf(key, partitions.length)
  return partitions[index] as Partition
}

/** An error where the unfinished ones, and these, would be more than the channel can hold. */
export function fullWith(channel: Channel, messages: number, bytes: number, limits: Limits): PolybusError | undefined {
  if (
    channel.unfinished + messages > limits.maxBacklog ||
    channel.unfinishedBytes + bytes > limits.maxBacklogBytes ||
    // Only while a declared group is missing, which holds everything back.
    channel.kept + messages > limits.maxBacklog + limits.retention
  )
    return busy(`The channel '${channel.name}' holds ${channel.unfinished} messages that some group has not finished.`)
  return undefined
}

/** Writes one message for every group. An error where the channel is full. */
export function append(channel: Channel, message: WireMessage, stamp: Stamp, limits: Limits): Entry | PolybusError {
  const bytes = size(message)
  const full = fullWith(channel, 1, bytes, limits)
  if (full) return full
  const partition = partitionFor(channel, message.key)
  const offset = partition.nextOffset++
  const entry = entryOf(message, channel.seq++, offset, stamp, bytes, partition, false, 0)
  entry.previous = partition.tail
  if (partition.tail) partition.tail.next = entry
  else partition.head = entry
  partition.tail = entry
  channel.kept++
  channel.keptBytes += bytes
  const { lanes } = partition
  entry.remaining = lanes.length
  for (let index = 0; index < lanes.length; index++) {
    const lane = lanes[index] as Lane
    lane.next ??= entry
    lane.waiting++
  }
  if (entry.remaining > 0) {
    channel.unfinished++
    channel.unfinishedBytes += bytes
  } else listFinished(channel, entry)
  trim(channel, limits)
  return entry
}

/** One more group has finished the entry. */
export function finishedBy(channel: Channel, entry: Entry): void {
  if (--entry.remaining > 0) return
  channel.unfinished--
  channel.unfinishedBytes -= entry.bytes
  listFinished(channel, entry)
}

/** One group more has to finish the entry: it was rewound, or is new. */
export function neededBy(channel: Channel, entry: Entry): void {
  if (entry.remaining++ > 0) return
  channel.unfinished++
  channel.unfinishedBytes += entry.bytes
}

function listFinished(channel: Channel, entry: Entry): void {
  if (entry.listed) return
  entry.listed = true
  if (channel.lastFinished) channel.lastFinished.nextFinished = entry
  else channel.firstFinished = entry
  channel.lastFinished = entry
}

/** After writing and after settling: the oldest finished entries go until the channel is within its limits; unfinished ones never go. */
export function trim(channel: Channel, limits: Limits): void {
  if (channel.kept <= limits.retention && channel.keptBytes <= limits.retentionBytes) return
  // A declared group that was deleted must find everything when it is made again.
  for (const group of channel.declared) if (!channel.groups.has(group)) return
  while (channel.kept > limits.retention || channel.keptBytes > limits.retentionBytes) {
    const entry = channel.firstFinished
    if (!entry) return
    channel.firstFinished = entry.nextFinished
    if (!channel.firstFinished) channel.lastFinished = undefined
    entry.nextFinished = undefined
    entry.listed = false
    if (entry.remaining > 0) continue
    unlink(channel, entry)
  }
}

function unlink(channel: Channel, entry: Entry): void {
  const { partition } = entry
  if (entry.previous) entry.previous.next = entry.next
  else partition.head = entry.next
  if (entry.next) entry.next.previous = entry.previous
  else partition.tail = entry.previous
  entry.previous = entry.next = undefined
  channel.kept--
  channel.keptBytes -= entry.bytes
}
