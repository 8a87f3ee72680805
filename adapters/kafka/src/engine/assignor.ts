// Who gets which partitions. Partition n of every topic of a group goes to one member: a key and its retries stay in one
// process, where they can be kept one at a time. Who had a partition keeps it as far as even shares allow. Pure.
import { int16, int32, reader, text16 } from './bytes.ts'

/** What members of a group must agree on. */
export const PROTOCOL = 'polybus-lanes'
const VERSION = 0

/** What a member owned in its last generation. */
export interface Claim {
  readonly generation: number
  readonly partitions: readonly number[]
}

export function encodeSubscription(topics: readonly string[], claim: Claim | undefined): Buffer {
  const userData = Buffer.from(claim ? JSON.stringify([claim.generation, ...claim.partitions]) : '')
  const list = [int32(topics.length), ...topics.map(text16)]
  return Buffer.concat([int16(VERSION), ...list, int32(userData.length), userData])
}

export function decodeClaim(metadata: Buffer): Claim | undefined {
  try {
    const from = reader(metadata)
    from.int16()
    for (let topics = from.int32(); topics > 0; topics--) from.string()
    const length = from.int32()
    if (length <= 0) return undefined
    const [generation, ...partitions] = JSON.parse(from.bytes(length).toString()) as number[]
    return Number.isInteger(generation) ? { generation: generation as number, partitions } : undefined
  } catch {
    // Somebody else's: it only costs stickiness.
    return undefined
  }
}

export function encodeAssignment(partitions: Readonly<Record<string, readonly number[]>>): Buffer {
  const topics = Object.entries(partitions)
  const list = topics.flatMap(([topic, numbers]) => [text16(topic), int32(numbers.length), ...numbers.map(int32)])
  return Buffer.concat([int16(VERSION), int32(topics.length), ...list, int32(0)])
}

/** By topic; empty where a member got nothing. */
export function decodeAssignment(bytes: Buffer): Readonly<Record<string, readonly number[]>> {
  if (bytes.length < 2) return {}
  const from = reader(bytes)
  from.int16()
  const topics: [string, number[]][] = []
  for (let count = from.int32(); count > 0; count--) {
    const topic = from.string()
    topics.push([topic, Array.from({ length: from.int32() }, () => from.int32())])
  }
  return Object.fromEntries(topics)
}

/**
 * Partition numbers by member.
 *
 * @param main How many partitions the channel's own topic has: these are shared evenly among themselves.
 * @param all The largest number of partitions of any topic.
 */
export function assign(
  members: readonly { readonly id: string; readonly claim: Claim | undefined }[],
  main: number,
  all: number,
): ReadonlyMap<string, readonly number[]> {
  const shares = new Map<string, number[]>(members.map(({ id }) => [id, []]))
  share(members, shares, 0, main)
  share(members, shares, main, all)
  return shares
}

function share(
  members: Parameters<typeof assign>[0],
  shares: ReadonlyMap<string, number[]>,
  from: number,
  to: number,
): void {
  const count = to - from
  if (count <= 0 || members.length === 0) return
  /** Of two that claim one partition the later generation has it. */
  const owners = new Map<number, { readonly id: string; readonly generation: number }>()
  for (const { id, claim } of members)
    for (const partition of claim?.partitions ?? [])
      if (partition >= from && partition < to && (owners.get(partition)?.generation ?? -1) < (claim?.generation ?? 0))
        owners.set(partition, { id, generation: claim?.generation ?? 0 })
  const claimed = new Map<string, number[]>(members.map(({ id }) => [id, []]))
  const free: number[] = []
  for (let partition = from; partition < to; partition++) {
    const owner = owners.get(partition)
    if (owner) claimed.get(owner.id)?.push(partition)
    else free.push(partition)
  }
  // Who has most may have one more than the others.
  const order = [...claimed].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1))
  const least = Math.floor(count / members.length)
  const quotaOf = (index: number): number => least + (index < count % members.length ? 1 : 0)
  for (const [index, [id, own]] of order.entries()) {
    const quota = quotaOf(index)
    shares.get(id)?.push(...own.slice(0, quota))
    free.push(...own.slice(quota))
  }
  free.sort((a, b) => a - b)
  for (const [index, [id, own]] of order.entries())
    shares.get(id)?.push(...free.splice(0, quotaOf(index) - Math.min(own.length, quotaOf(index))))
}
