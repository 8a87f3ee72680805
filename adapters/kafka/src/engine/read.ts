// A look at records without a group: what one fetch brings.
import type { Call, Clock } from '@polybus/core'
import type { Position, Records } from '../client.ts'
import { answered, missing } from '../errors.ts'
import type { Link } from './link.ts'
import { fromFetched } from './records.ts'
import { persist, within } from '../wait.ts'

const BYTES = 2 * 2 ** 20
const READ_COMMITTED = 1

export function read(
  link: Link,
  clock: Clock,
  timeoutMs: number,
  { topic, partition, offset }: Position,
  limit: number,
  call: Call,
): Promise<Records> {
  const once = async (at: bigint): Promise<{ readonly found: Records | undefined; readonly end: bigint }> => {
    const node = await link.leader(topic, partition, call)
    const { responses } = await link.ask(node, (broker) =>
      broker.fetch({
        isolationLevel: READ_COMMITTED,
        maxWaitTime: 0,
        minBytes: 0,
        maxBytes: BYTES,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(at), maxBytes: BYTES }] }],
      }),
    )
    const fetched = responses[0]?.partitions[0]
    if (!fetched) throw missing(`partition ${partition} of topic '${topic}'`, false)
    const error = answered(fetched.errorCode, `to read '${topic}'`)
    if (error) throw error
    return { found: fromFetched(topic, at, fetched), end: fetched.lastStableOffset }
  }
  const work = async (): Promise<Records> => {
    let lastOffset = offset - 1n
    for (;;) {
      const { found, end } = await persist({ clock, limitMs: timeoutMs, call, onStale: link.forget }, () =>
        once(lastOffset + 1n),
      )
      const records = found?.records.slice(0, limit) ?? []
      const last = records.at(-1)
      if (found && last) {
        const cut = records.length < found.records.length
        return { topic, partition, records, lastOffset: cut ? last.offset : found.lastOffset, highWatermark: end }
      }
      // Markers only, or batches that compaction emptied.
      lastOffset = found?.lastOffset ?? lastOffset
      if (!found || lastOffset + 1n >= end) return { topic, partition, records: [], lastOffset, highWatermark: end }
    }
  }
  return within(clock, timeoutMs * 3, call.signal, work())
}
