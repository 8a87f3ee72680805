import { type Call, invalid, type RewindTarget, PolybusError } from '@polybus/core'
import type { Position, TopicPartition } from './client.ts'
import type { Layout } from './layout.ts'
import { parsePosition } from './mapping.ts'
import type { Session } from './session.ts'

/** A feed of this process: only it may move what its member owns. */
export interface RewindableFeed {
  owned(): readonly TopicPartition[]
  /** Its deliveries of these partitions are lost; it goes on from here, which is committed. */
  rewind(positions: readonly Position[], call: Call): Promise<void>
}

/**
 * Moves a group within what is kept. A position moves its own partition alone; all other targets move all of them. Retries
 * that the group already queued stay. Time is that of writing.
 *
 * @throws {PolybusError} `UNSUPPORTED` while other processes run the group: Kafka lets only members move it then.
 */
export async function rewind(
  session: Session,
  layout: Layout,
  group: string,
  to: RewindTarget,
  feedsOf: () => readonly RewindableFeed[],
  call: Call,
): Promise<void> {
  const { admin } = session.client
  const id = layout.group(group)
  const positions = await targetsOf(session, layout, to, call)
  if ((await admin.members(id, call)) === 0) {
    // Without metadata: what it says of finished messages is not true any more.
    await admin.commitFor(id, positions, call)
    return
  }
  const feeds = feedsOf()
  const moves = feeds.map((feed) => ({ feed, mine: positions.filter((position) => owns(feed, position)) }))
  if (moves.reduce((sum, { mine }) => sum + mine.length, 0) < positions.length) throw runsElsewhere(id)
  await Promise.all(moves.filter(({ mine }) => mine.length > 0).map(({ feed, mine }) => feed.rewind(mine, call)))
}

const owns = (feed: RewindableFeed, { topic, partition }: Position): boolean =>
  feed.owned().some((owned) => owned.topic === topic && owned.partition === partition)

async function targetsOf(
  session: Session,
  { topic, channel }: Layout,
  to: RewindTarget,
  call: Call,
): Promise<readonly Position[]> {
  const { admin } = session.client
  if (to.kind === 'time') return admin.offsetsAt(topic, Math.floor(to.time), call)
  const ranges = await admin.offsets(topic, call)
  if (to.kind !== 'position')
    return ranges.map(({ partition, begin, end }) => ({
      topic,
      partition,
      offset: to.kind === 'beginning' ? begin : end,
    }))
  const place = parsePosition(to.position)
  const range = ranges.find(({ partition }) => partition === place?.partition)
  if (!place || place.topic !== topic || !range)
    throw invalid(
      'rewind',
      `'${to.position}' is no position of the channel '${channel}' (<topic>/<partition>/<offset>).`,
    )
  if (place.offset < range.begin || place.offset > range.end)
    throw invalid('rewind', `'${to.position}' is out of range: Kafka keeps ${range.begin} to ${range.end} there.`)
  return [{ topic, partition: place.partition, offset: place.offset }]
}

const runsElsewhere = (id: string): PolybusError =>
  new PolybusError(
    'UNSUPPORTED',
    `The group '${id}' runs in other processes, or is rebalancing: Kafka lets only members move their own partitions. ` +
      'Stop the group elsewhere, and rewind it then.',
  )
