// Which partition a key lives on: as Kafka's Java client has it, or one key would live on two of them.

/** Kafka's own variant of MurmurHash2, with its seed; of signed bytes in Java, which makes no difference here. */
export function murmur2(data: Uint8Array): number {
  const { length } = data
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let k =
      (data[at] as number) |
      ((data[at + 1] as number) << 8) |
      ((data[at + 2] as number) << 16) |
      ((data[at + 3] as number) << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length - at
  if (rest >= 3) h ^= (data[at + 2] as number) << 16
  if (rest >= 2) h ^= (data[at + 1] as number) << 8
  if (rest >= 1) h = Math.imul(h ^ (data[at] as number), m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return (h ^ (h >>> 15)) | 0
}

/** The partition of a key's bytes. Java's `toPositive` drops the sign's bit; it does not negate. */
export const partitionOf = (key: Uint8Array, partitions: number): number =>
  partitions === 1 ? 0 : (murmur2(key) & 0x7fffffff) % partitions

/** The next partition of a topic, for records without a key: even shares, however few there are. */
export type RoundRobin = (topic: string, partitions: number) => number

export function roundRobin(): RoundRobin {
  const turns = new Map<string, number>()
  return (topic, partitions) => {
    // Many processes that all begin at 0 would fill it first.
    const turn = turns.get(topic) ?? Math.floor(Math.random() * partitions)
    turns.set(topic, (turn + 1) % partitions)
    return turn % partitions
  }
}
