// Where a group begins in partitions that it has just been given.
import { type Call, PolybusError, type Source } from '@polybus/core'
import type { Assignment, Position, Range, TopicPartition } from './client.ts'
import { feedBroken } from './errors.ts'
import type { Layout } from './layout.ts'
import { placeOf } from './names.ts'
import { type OffsetRange, unpackRanges } from './ranges.ts'
import { isOther, readStamp } from './stamp.ts'
import type { Session } from './session.ts'

export interface Start extends TopicPartition {
  readonly topicId: string | undefined
  readonly offset: bigint
  readonly finished: readonly OffsetRange[]
  /** It has to be committed, so that a crash does not choose anew. */
  readonly chosen: boolean
}

export async function startsOf(
  session: Session,
  layout: Layout,
  { group, from }: Pick<Source, 'group' | 'from'>,
  { generation }: Pick<Assignment, 'generation'>,
  partitions: readonly TopicPartition[],
  call: Call,
): Promise<readonly Start[]> {
  const { admin } = session.client
  const topics = [...new Set(partitions.map(({ topic }) => topic))]
  const [committed, ids, ...ranges] = await Promise.all([
    admin.committed(layout.group(group), topics, call),
    admin.topicIds(topics, call),
    ...topics.map((topic) => admin.offsets(topic, call)),
  ])
  const positions = new Map(committed.map((position) => [placeOf(position), position]))
  // Partitions that were added to a group that ran before hold what nobody has read yet.
  const isNew = generation <= 1 || !committed.some(({ topic }) => topic === layout.topic)
  // A declared group that has lost its position (they expire) begins where nothing is missed; so do copies made for a group.
  const atEnd = ({ topic }: TopicPartition): boolean =>
    from === 'end' && isNew && topic === layout.topic && !layout.groups.includes(group)
  return partitions.map((place): Start => {
    const range = ranges[topics.indexOf(place.topic)]?.find(({ partition }) => partition === place.partition)
    if (!range) throw feedBroken(`Kafka does not tell the offsets of ${placeOf(place)}.`)
    const topicId = ids.get(place.topic)
    const here = { ...place, topicId }
    const position = positions.get(placeOf(place))
    if (!position) return { ...here, offset: atEnd(place) ? range.end : range.begin, finished: [], chosen: true }
    const { offset, metadata } = position
    const stamped = readStamp(metadata)
    // It is of a topic that there is no more: of this one nobody has read anything.
    if (isOther(stamped.topicId, topicId)) return { ...here, offset: range.begin, finished: [], chosen: true }
    if (offset >= range.begin && offset <= range.end)
      return { ...here, offset, finished: unpackRanges(offset, stamped.rest), chosen: false }
    return { ...here, offset: elsewhere(session, layout.group(group), position, range), finished: [], chosen: true }
  })
}

/** Neither skipping nor running again goes unasked for. */
export function elsewhere(session: Session, groupId: string, position: Position, { begin, end }: Range): bigint {
  const { offsetOutOfRange: outOfRange } = session.settings
  if (outOfRange === 'beginning') return begin
  if (outOfRange === 'end') return end
  const why =
    position.offset < begin ? 'what lay between was deleted (retention)' : 'the topic was truncated or made anew'
  throw new PolybusError(
    'FEED_BROKEN',
    `The position ${position.offset} of group '${groupId}' in ${placeOf(position)} is out of range: Kafka has ${begin} to ${end}, ${why}. ` +
      `Rewind the group, or set kafka().offsetOutOfRange to 'beginning' or 'end'.`,
    { retryable: false },
  )
}
