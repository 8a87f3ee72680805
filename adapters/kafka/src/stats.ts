import { type Call, LADDER_MS, PolybusError, type Stats } from '@polybus/core'
import type { Range, TopicPartition } from './client.ts'
import type { LocalLane } from './feed.ts'
import { placeOf } from './names.ts'
import type { Layout } from './layout.ts'
import { marksOf } from './marks.ts'
import { readFrom } from './reading.ts'
import type { Session } from './session.ts'

/** What a group has before it in one partition. */
interface Lag extends TopicPartition {
  readonly from: bigint
  readonly to: bigint
  /** Of these so many are on their way or finished, as far as this process knows. */
  readonly open: number
}

/** So many partitions at once are looked into for the age of their oldest. */
const LOOKS = 8

/**
 * `backlog` is the lag: from the committed position to the end, of what waits for a delay only what is due. What this process
 * holds or has finished is taken off; of other processes nothing of that is known. Without a position a group begins at the
 * beginning.
 *
 * @param local what feeds of this process own.
 */
export async function readStats(
  session: Session,
  layout: Layout,
  group: string,
  local: readonly LocalLane[],
  call: Call,
): Promise<Stats> {
  try {
    const [lags, deadLetters] = await Promise.all([
      lagsOf(session, layout, group, local, call),
      deadLettersOf(session, layout, group, call),
    ])
    return {
      backlog: lags.reduce((sum, { from, to, open }) => sum + Math.max(0, Number(to - from) - open), 0),
      inFlight: null,
      oldestAgeMs: await oldestAge(session, lags, call),
      deadLetters,
    }
  } catch (error) {
    if (!PolybusError.is(error, 'TOPOLOGY_MISSING')) throw error
    throw unknownGroup(layout, group, error)
  }
}

async function lagsOf(
  session: Session,
  layout: Layout,
  group: string,
  local: readonly LocalLane[],
  call: Call,
): Promise<readonly Lag[]> {
  const { admin } = session.client
  const topics = layout.topics(group)
  const now = session.clock.wall()
  const [committed, main, ...rungs] = await Promise.all([
    admin.committed(layout.group(group), topics, call),
    // As Kafka's own tools count: what stands behind a transaction that hangs is behind.
    admin.offsets(layout.topic, call, 'open'),
    ...LADDER_MS.map((delayMs) => dueOf(session, layout.rung(group, delayMs), now - delayMs, call)),
  ])
  const positions = new Map(committed.map((position) => [placeOf(position), position.offset]))
  const own = new Map(local.map((lane) => [placeOf(lane), lane]))
  const ranges: readonly (readonly [string, readonly Range[]])[] = [
    [layout.topic, main],
    ...LADDER_MS.map((delayMs, index) => [layout.rung(group, delayMs), rungs[index] ?? []] as const),
  ]
  return ranges.flatMap(([topic, list]) =>
    list.flatMap(({ partition, begin, end }): Lag[] => {
      const place = placeOf({ topic, partition })
      const { position = begin, open = 0 } = own.get(place) ?? {}
      // What retention took is no backlog any more.
      const from = [positions.get(place) ?? begin, position].reduce((a, b) => (a > b ? a : b), begin)
      return from < end ? [{ topic, partition, from, to: end, open }] : []
    }),
  )
}

/** Where what is due ends: a rung delays all alike, so that it lies in the order of its times. */
async function dueOf(session: Session, topic: string, time: number, call: Call): Promise<readonly Range[]> {
  const { admin } = session.client
  const [ranges, due] = await Promise.all([admin.offsets(topic, call), admin.offsetsAt(topic, time, call)])
  const ends = new Map(due.map(({ partition, offset }) => [partition, offset]))
  return ranges.map(({ partition, begin, end }) => ({ partition, begin, end: ends.get(partition) ?? end }))
}

/** By the time at which it was written. Markers of transactions have none. */
async function oldestAge(session: Session, lags: readonly Lag[], call: Call): Promise<number> {
  let oldest: number | undefined
  const queue = [...lags]
  const look = async (): Promise<void> => {
    for (let lag = queue.pop(); lag; lag = queue.pop()) {
      const { topic, partition, from } = lag
      const { records } = await readFrom(session, { topic, partition, offset: from }, 1, call)
      const time = records[0]?.timestamp
      if (time !== undefined && time >= 0) oldest = Math.min(oldest ?? time, time)
    }
  }
  await Promise.all(Array.from({ length: LOOKS }, look))
  if (oldest === undefined) return 0
  return Math.max(0, session.clock.wall() - oldest)
}

/** Those that were taken off are still in the log. */
async function deadLettersOf(session: Session, layout: Layout, group: string, call: Call): Promise<number> {
  const [ranges, marks] = await Promise.all([
    session.client.admin.offsets(layout.dead(group), call),
    marksOf(session, layout.removed(group), call),
  ])
  const all = ranges.reduce((sum, { begin, end }) => sum + (end - begin), 0n)
  return Number(all - ranges.reduce((sum, range) => sum + marks.count(range), 0n))
}

export const unknownGroup = ({ channel }: Layout, group: string, cause?: unknown): PolybusError =>
  new PolybusError('UNKNOWN_GROUP', `The channel '${channel}' has no group '${group}' on Kafka.`, {
    cause,
    sent: 'no',
  })
