import { type BrowseSession, type Call, PolybusError, type RawDeadLetter, type Result, sleep } from '@polybus/core'
import type { KafkaRecord, Range } from './client.ts'
import { kafkaError } from './errors.ts'
import type { Layout } from './layout.ts'
import { fromNative, parsePosition, positionOf } from './mapping.ts'
import { type Letter, type Marks, marksOf } from './marks.ts'
import { readFrom } from './reading.ts'
import type { Session } from './session.ts'
import { unknownGroup } from './stats.ts'

const OK: Result<void> = { ok: true, value: undefined }
/** Of so many letters a session remembers that it saw them, to find the prefix that can be deleted. */
const REMEMBERED = 10_000
/** A fetch brings many: they are kept until they are asked for. */
const AHEAD = 1000
/** Between two looks at whether a transaction is over. */
const PAUSE_MS = 5

/** Ours have one partition; a foreign topic may have any number. */
interface Lane {
  readonly partition: number
  readonly begin: bigint
  /** Up to here it was written when the look began, by transactions that may not be over too. */
  readonly written: bigint
  next: bigint
  /** Read, and not shown yet. */
  readonly ahead: KafkaRecord[]
  /** The first that were seen, in order. */
  readonly seen: bigint[]
}

/** A look is a cursor over the topic of dead letters: it holds nothing, hides nothing, and sees letters that come behind its place. */
export async function openSession(session: Session, layout: Layout, group: string, call: Call): Promise<BrowseSession> {
  const topic = layout.dead(group)
  const lanes = await lanesOf(session, layout, group, call)
  const marks = await marksOf(session, layout.removed(group), call)
  // A commit is answered before it can be read: the broker writes its markers afterwards.
  const patience = session.clock.now() + session.settings.commandTimeoutMs
  let open = true
  let took = false
  const atWork = (): void => {
    if (!open) throw new PolybusError('CLOSED', 'This look at dead letters is closed.')
  }
  const fill = async (lane: Lane, limit: number, by: Call): Promise<void> => {
    while (lane.ahead.length === 0) {
      const { partition, next } = lane
      const { records, lastOffset, highWatermark } = await readFrom(
        session,
        { topic, partition, offset: next },
        Math.max(limit, AHEAD),
        by,
      )
      if (lastOffset < next) {
        if (highWatermark >= lane.written || by.signal.aborted || session.clock.now() >= patience) return
        await sleep(session.clock, PAUSE_MS, by.signal)
        continue
      }
      lane.next = lastOffset + 1n
      for (const record of records) {
        if (lane.seen.length < REMEMBERED) lane.seen.push(record.offset)
        if (!marks.has(record)) lane.ahead.push(record)
      }
    }
  }
  return {
    async next(limit, by) {
      atWork()
      await marks.refresh(by)
      const found: RawDeadLetter[] = []
      while (found.length < limit && !by.signal.aborted) {
        await Promise.all(lanes.map((lane) => fill(lane, limit, by)))
        const record = oldest(lanes)
        if (!record) break
        if (!marks.has(record)) found.push({ position: positionOf(record), message: fromNative(record, layout) })
      }
      return found
    },
    async remove(positions, by) {
      atWork()
      const letters = positions.map((position) => letterOf(position, topic, lanes, marks))
      const wanted = letters.filter(
        (letter, index) => letter !== undefined && letters.findIndex(same(letter)) === index,
      )
      let firsts: readonly boolean[] = []
      try {
        if (wanted.length > 0) firsts = await marks.take(wanted as Letter[], by)
      } catch (error) {
        const failed = kafkaError(error)
        return positions.map((position, index) => ({ ok: false, error: letters[index] ? failed : notFound(position) }))
      }
      took = true
      return positions.map((position, index): Result<void> => {
        const place = wanted.indexOf(letters[index])
        return place >= 0 && firsts[place] ? OK : { ok: false, error: notFound(position) }
      })
    },
    async close() {
      if (!open) return
      open = false
      // Somebody else's topic keeps what it has.
      if (took && layout.options.groups?.[group]?.deadLetter === undefined) await tidy(session, topic, lanes, marks)
    },
  }
}

async function lanesOf(session: Session, layout: Layout, group: string, call: Call): Promise<readonly Lane[]> {
  try {
    const ranges = await session.client.admin.offsets(layout.dead(group), call, 'open')
    return ranges.map(({ partition, begin, end }) => ({
      partition,
      begin,
      written: end,
      next: begin,
      ahead: [],
      seen: [],
    }))
  } catch (error) {
    throw PolybusError.is(error, 'TOPOLOGY_MISSING') ? unknownGroup(layout, group, error) : error
  }
}

/** Of several partitions the times decide. */
function oldest(lanes: readonly Lane[]): KafkaRecord | undefined {
  let found: Lane | undefined
  for (const lane of lanes) {
    const [first] = lane.ahead
    if (first && (!found?.ahead[0] || first.timestamp < found.ahead[0].timestamp)) found = lane
  }
  return found?.ahead.shift()
}

/** Undefined where it is no letter that could be shown here. */
function letterOf(position: string, topic: string, lanes: readonly Lane[], marks: Marks): Letter | undefined {
  const letter = parsePosition(position)
  const lane = lanes.find(({ partition }) => partition === letter?.partition)
  const known = letter?.topic === topic && lane && letter.offset >= lane.begin && letter.offset < lane.next
  return known && !marks.has(letter) ? letter : undefined
}
const same =
  (one: Letter) =>
  (other: Letter | undefined): boolean =>
    other?.partition === one.partition && other.offset === one.offset

const notFound = (position: string): PolybusError =>
  new PolybusError('DEAD_LETTER_NOT_FOUND', `No dead letter is at ${position}.`)

/** What was taken off from the beginning on can go for good, and marks of it too. */
async function tidy(session: Session, topic: string, lanes: readonly Lane[], marks: Marks): Promise<void> {
  const { admin } = session.client
  const by = { signal: new AbortController().signal }
  const begins = lanes.map((lane): Range => ({
    partition: lane.partition,
    begin: keptFrom(lane, marks),
    end: lane.next,
  }))
  try {
    const gone = begins.filter(({ begin }, index) => begin > (lanes[index]?.begin ?? begin))
    if (gone.length > 0)
      await admin.deleteRecords(
        gone.map(({ partition, begin }) => ({ topic, partition, offset: begin })),
        by,
      )
    await marks.tidy(begins, by)
  } catch {
    // It is housekeeping: whoever may not delete records, or is cut off now, has taken the letters off all the same.
  }
}

function keptFrom({ partition, next, seen }: Lane, marks: Marks): bigint {
  const kept = seen.find((offset) => !marks.has({ partition, offset }))
  return kept ?? (seen.length < REMEMBERED ? next : (seen.at(-1) ?? next - 1n) + 1n)
}
