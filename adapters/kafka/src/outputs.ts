// What a transaction writes beside the position: copies, and what handlers published.
import type { Call, Destination } from '@polybus/core'
import { chunks } from './chunks.ts'
import type { Batch, NewRecord, TopicPartition } from './client.ts'
import { sizeOf } from './mapping.ts'
import { placeOf } from './names.ts'
import { BATCH_BYTES, BATCH_RECORDS, pick, topicsOf } from './send.ts'
import type { Session } from './session.ts'

export interface Output {
  readonly record: NewRecord
  readonly to: Destination
}

/** Of a list in its order: batches that the broker takes, one behind the other in each partition. */
export async function batchesOf(session: Session, outputs: readonly Output[], call: Call): Promise<readonly Batch[]> {
  const lines = new Map<string, (TopicPartition & { record: NewRecord; bytes: number })[]>()
  for (const { record, to } of outputs)
    for (const topic of topicsOf(session.layoutFor(session.spec(to.channel)), to, undefined)) {
      const partition = pick(session.turns, topic, record, await session.partitions(topic, call))
      const place = placeOf({ topic, partition })
      const line = lines.get(place) ?? []
      lines.set(place, line)
      line.push({ topic, partition, record, bytes: sizeOf(record) })
    }
  return [...lines.values()].flatMap((line) =>
    [...chunks(line, BATCH_BYTES, BATCH_RECORDS)].map((some) => ({
      topic: line[0]?.topic ?? '',
      partition: line[0]?.partition ?? 0,
      records: some.map(({ record }) => record),
    })),
  )
}

export const bytesOf = (outputs: readonly Output[]): number =>
  outputs.reduce((sum, { record }) => sum + sizeOf(record), 0)
