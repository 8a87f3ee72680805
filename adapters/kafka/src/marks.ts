// Records of a log cannot be deleted one by one, so that a topic of marks says which dead letters were taken off. Marks only add
// up: several people may write them at once, and of two for one letter the first in the log counts. Why: docs/decisions.
import { randomUUID } from 'node:crypto'
import type { Call } from '@polybus/core'
import { chunks } from './chunks.ts'
import type { KafkaRecord, NewRecord, Position, Range, TopicPartition } from './client.ts'
import { missing } from './errors.ts'
import { createOffsets, type Offsets } from './offsets.ts'
import type { OffsetRange } from './ranges.ts'
import { readFrom } from './reading.ts'
import type { Session } from './session.ts'

export type Letter = Pick<Position, 'partition' | 'offset'>

export interface Marks {
  has(letter: Letter): boolean
  /** How many letters of this range of a partition were taken off. */
  count(range: Range): bigint
  /** Reads what others wrote meanwhile. */
  refresh(call: Call): Promise<void>
  /** Takes letters off; false where somebody else was first. */
  take(letters: readonly Letter[], call: Call): Promise<readonly boolean[]>
  /** Writes all marks anew as few, where they have become many. `begins`: what lies before is gone anyway. */
  tidy(begins: readonly Range[], call: Call): Promise<void>
}

const PAGE = 1000
/** With so many records the next ones who look would wait. */
const MANY = 1000
/** Well below what a topic takes by default. */
const MAX_BYTES = 256 * 1024
const TOGETHER = 5000
/** Who takes letters off knows its own mark by it. */
const BY = 'by'
const FORM = /^(\d{1,9})\/(\d{1,19})-(\d{1,19})$/

export async function marksOf(session: Session, topic: string, call: Call): Promise<Marks> {
  const byPartition = new Map<number, Offsets>()
  let next = 0n
  let read = 0
  const of = (partition: number): Offsets => {
    let offsets = byPartition.get(partition)
    if (!offsets) byPartition.set(partition, (offsets = createOffsets()))
    return offsets
  }
  const place = (): Position => ({ topic, partition: 0, offset: next })

  /** All that is there, in order, up to the end. */
  const readOn = async (by: Call, each: (record: KafkaRecord) => void): Promise<void> => {
    for (;;) {
      const page = await readFrom(session, place(), PAGE, by)
      for (const record of page.records) each(record)
      read += page.records.length
      if (page.lastOffset < next) return
      next = page.lastOffset + 1n
      if (next >= page.highWatermark) return
    }
  }
  const learn = ({ value }: KafkaRecord): void => {
    for (const [partition, range] of unpack(value)) of(partition).add(range)
  }
  /** Asked before reading: the client waits for a topic that is not there, as for one that was just made. */
  const isThere = async (by: Call): Promise<boolean> => (await session.client.admin.topics([topic], by)).has(topic)
  let there = await isThere(call)
  // Where there is no such topic nothing was ever taken off.
  const refresh = (by: Call): Promise<void> => (there ? readOn(by, learn) : Promise.resolve())
  const produce = async (record: NewRecord, by: Call): Promise<void> => {
    const [result] = await session.moves.produce([{ topic, partition: 0, records: [record] }], by)
    if (result && !result.ok) throw result.error
  }

  const marks: Marks = {
    has: ({ partition, offset }) => byPartition.get(partition)?.has(offset) ?? false,
    count: ({ partition, begin, end }) => byPartition.get(partition)?.count(begin, end) ?? 0n,
    refresh,
    async take(letters, by) {
      if (letters.length > TOGETHER) {
        const rest = letters.slice(TOGETHER)
        return [...(await marks.take(letters.slice(0, TOGETHER), by)), ...(await marks.take(rest, by))]
      }
      there ||= await isThere(by)
      if (!there) throw missing(`topic '${topic}', which says what was taken off`, session.mayCreate)
      const text = letters.map(({ partition, offset }) => one(partition, [offset, offset])).join(' ')
      const id = randomUUID()
      await produce({ ...recordOf(text), headers: [[BY, Buffer.from(id)]] }, by)
      let first: readonly boolean[] | undefined
      const claim = (): readonly boolean[] =>
        letters.map((letter) => {
          const taken = marks.has(letter)
          of(letter.partition).add([letter.offset, letter.offset])
          return !taken
        })
      await readOn(by, (record) => {
        if (record.headers.some(([name, value]) => name === BY && Buffer.from(value).toString() === id))
          first ??= claim()
        else learn(record)
      })
      // Somebody has tidied it away already.
      return first ?? claim()
    },
    async tidy(begins, by) {
      if (read < MANY) return
      const before = place()
      const texts = [...byPartition].flatMap(([partition, offsets]) => {
        const begin = begins.find((range) => range.partition === partition)?.begin ?? 0n
        const kept = offsets.ranges().filter((range) => range[1] >= begin)
        return kept.map((range) => ({ text: one(partition, range), bytes: one(partition, range).length + 1 }))
      })
      for (const some of chunks(texts, MAX_BYTES)) await produce(recordOf(some.map(({ text }) => text).join(' ')), by)
      await session.client.admin.deleteRecords([before], by)
    },
  }
  await refresh(call)
  return marks
}

const one = (partition: TopicPartition['partition'], [from, to]: OffsetRange): string => `${partition}/${from}-${to}`

const recordOf = (text: string): NewRecord => ({ key: null, value: Buffer.from(text), headers: [] })

/** What is no mark is not ours. */
function unpack(value: Uint8Array | null): (readonly [number, OffsetRange])[] {
  if (value === null) return []
  return Buffer.from(value)
    .toString()
    .split(' ')
    .flatMap((text) => {
      const [, partition, from = '', to = ''] = FORM.exec(text) ?? []
      return partition === undefined ? [] : [[Number(partition), [BigInt(from), BigInt(to)]] as const]
    })
}
