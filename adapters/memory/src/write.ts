// Sending: any destination, one result an entry.
import type { Destination, Outgoing, PolybusError, Receipt, Result, WireMessage } from '@polybus/core'
import type { Broker, Channel, Group, Stamp } from './state.ts'
import { busy, channelMissing, groupMissing, notAttempted, unsupportedDelay } from './errors.ts'
import { wakeGroup, wakeLane } from './groups.ts'
import { append, entryOf, fullWith, partitionFor, positionOf } from './log.ts'
import { size } from './mapping.ts'

/** Who writes: finds channels by the names that the adapter uses, in its namespace. */
export interface Writer {
  readonly broker: Broker
  readonly mayCreate: boolean
  find(channel: string): Channel | undefined
}

type Put = Result<Receipt>
const fail = (error: PolybusError): Put => ({ ok: false, error })

/** The clock is read once a batch. */
export const stampOf = ({ clock }: Broker): Stamp => ({ now: clock.now(), wall: clock.wall() })

/** Writes all of it, then wakes who waits. */
export function writeAll(writer: Writer, batch: readonly Outgoing[]): readonly Put[] {
  const stamp = stampOf(writer.broker)
  const touched: Channel[] = []
  // Without orderedBatch nothing may rely on the order within a batch, so it is not kept.
  const results = writer.broker.abilities.orderedBatch
    ? writeInOrder(writer, batch, stamp, touched)
    : batch
        .toReversed()
        .map((outgoing) => put(writer, outgoing, stamp, touched))
        .toReversed()
  wakeTouched(touched)
  return results
}

function writeInOrder(writer: Writer, batch: readonly Outgoing[], stamp: Stamp, touched: Channel[]): Put[] {
  const results: Put[] = []
  let failed: Set<string> | undefined
  for (let index = 0; index < batch.length; index++) {
    const outgoing = batch[index] as Outgoing
    const { key } = outgoing.message
    if (failed && key !== undefined && failed.has(orderOf(outgoing.to, key))) {
      results.push(fail(notAttempted()))
      continue
    }
    const result = put(writer, outgoing, stamp, touched)
    results.push(result)
    if (result.ok || key === undefined) continue
    failed ??= new Set()
    failed.add(orderOf(outgoing.to, key))
  }
  return results
}

/** Messages to channels, all of them or none: an error says why none was written. */
export function writeTogether(
  writer: Writer,
  batch: readonly Outgoing[],
  touched: Channel[],
): PolybusError | undefined {
  const { broker } = writer
  const more = new Map<Channel, { messages: number; bytes: number }>()
  for (const outgoing of batch) {
    const refused = refusalOf(broker, outgoing)
    if (refused) return refused
    const channel = writer.find(outgoing.to.channel)
    if (!channel) return channelMissing(outgoing.to.channel, writer.mayCreate)
    const sum = more.get(channel) ?? { messages: 0, bytes: 0 }
    more.set(channel, { messages: sum.messages + 1, bytes: sum.bytes + size(outgoing.message) })
  }
  for (const [channel, { messages, bytes }] of more) {
    const full = fullWith(channel, messages, bytes, broker.limits)
    if (full) return full
  }
  const stamp = stampOf(broker)
  for (const outgoing of batch) {
    const written = put(writer, outgoing, stamp, touched)
    if (!written.ok) return written.error
  }
  return undefined
}

const refusalOf = ({ faults }: Broker, outgoing: Outgoing): PolybusError | undefined => {
  for (const refusal of faults.refusals) {
    const error = refusal(outgoing)
    if (error) return error
  }
  return undefined
}

export function wakeTouched(touched: readonly Channel[]): void {
  for (const channel of touched) for (const group of channel.groups.values()) wakeGroup(group)
}

const orderOf = (to: Destination, key: string): string =>
  to.kind === 'channel' ? `${to.channel}\n${key}` : `${to.kind} ${to.group} ${to.channel}\n${key}`

/** Writes one entry. A channel whose log grew is put into `touched`: its groups are woken when the batch is written. */
export function put(writer: Writer, outgoing: Outgoing, stamp: Stamp, touched: Channel[]): Put {
  const { broker } = writer
  const { message, to } = outgoing
  if (broker.faults.refusals.size > 0) {
    const error = refusalOf(broker, outgoing)
    if (error) return fail(error)
  }
  const channel = writer.find(to.channel)
  if (!channel) return fail(channelMissing(to.channel, writer.mayCreate))
  if (to.kind === 'channel') {
    if (outgoing.groups) return putToGroups(broker, channel, message, outgoing.groups, stamp)
    const entry = append(channel, message, stamp, broker.limits)
    if (!('seq' in entry)) return fail(entry)
    if (touched[touched.length - 1] !== channel && !touched.includes(channel)) touched.push(channel)
    return { ok: true, value: { position: positionOf(entry) } }
  }
  const group = channel.groups.get(to.group)
  if (!group) return fail(groupMissing(to.channel, to.group))
  return to.kind === 'group' ? queueFor(broker, group, message, to.delayMs, stamp) : bury(broker, group, message, stamp)
}

function putToGroups(
  broker: Broker,
  channel: Channel,
  message: WireMessage,
  names: readonly string[],
  stamp: Stamp,
): Put {
  const missing: { group: string; error: PolybusError }[] = []
  for (const name of names) {
    const group = channel.groups.get(name)
    if (!group) missing.push({ group: name, error: groupMissing(channel.name, name) })
    else if (queue(broker, group, message, 0, stamp) === undefined) missing.push({ group: name, error: full(group) })
  }
  return { ok: true, value: missing.length > 0 ? { missing } : {} }
}

/** The ladder of core, for a broker whose exact delays were taken away. */
const RUNGS: readonly number[] = [1000, 10_000, 60_000, 600_000]

function queueFor(broker: Broker, group: Group, message: WireMessage, delayMs: number, stamp: Stamp): Put {
  if (!broker.abilities.delay && delayMs > 0 && !RUNGS.includes(delayMs)) return fail(unsupportedDelay(delayMs))
  const position = queue(broker, group, message, delayMs, stamp)
  if (position === undefined) return fail(full(group))
  return { ok: true, value: { position } }
}

const full = (group: Group): PolybusError =>
  busy(`The group '${group.name}' has ${group.queued} messages in its queue.`)

/** Into the group's own queue; undefined where it is full. */
function queue(broker: Broker, group: Group, message: WireMessage, delayMs: number, stamp: Stamp): string | undefined {
  if (group.queued >= broker.limits.maxBacklog) return undefined
  const partition = partitionFor(group.channel, message.key)
  const lane = group.lanes[partition.index]
  if (!lane) return undefined
  const seq = group.queueSeq++
  const dueAt = delayMs > 0 ? Math.ceil(stamp.now + delayMs) : 0
  const entry = entryOf(message, seq, seq, stamp, size(message), partition, true, dueAt)
  lane.delayed.push(entry)
  group.queued++
  // Who waits takes it, or sets the timer for it.
  wakeLane(lane)
  return positionOf(entry)
}

function bury(broker: Broker, group: Group, message: WireMessage, stamp: Stamp): Put {
  if (group.letters.size >= broker.limits.maxBacklog)
    return fail(busy(`The group '${group.name}' has ${group.letters.size} dead letters.`))
  const position = `d/${group.letterSeq++}`
  group.letters.set(position, { position, message, stamp })
  return { ok: true, value: { position } }
}
