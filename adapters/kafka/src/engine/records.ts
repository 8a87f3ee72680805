// What a fetch brought of one partition, as its readers want it. Pure.
import type { KafkaRecord, Records } from '../client.ts'
import type { FetchedPartition } from './fetched.ts'

/**
 * Records from the wanted offset on, without markers and what aborted transactions wrote. Undefined: nothing at all came.
 */
export function fromFetched(topic: string, from: bigint, fetched: FetchedPartition): Records | undefined {
  const { partition, batches, lastStableOffset: highWatermark } = fetched
  const begins = [...fetched.aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  const aborted = new Set<bigint>()
  const records: KafkaRecord[] = []
  // Compaction removes records, also the last ones of a batch, and its end stays where it was.
  let lastOffset = from - 1n
  let next = 0
  for (const batch of batches) {
    const { producerId, transactional, control } = batch
    for (let begin = begins[next]; begin && begin.firstOffset <= batch.lastOffset; begin = begins[++next])
      aborted.add(begin.producerId)
    if (batch.lastOffset > lastOffset) lastOffset = batch.lastOffset
    if (control && batch.records.some(isAbort)) aborted.delete(producerId)
    if (control || (transactional && aborted.has(producerId))) continue
    for (const record of batch.records) if (record.offset >= from) records.push(record)
  }
  return lastOffset < from ? undefined : { topic, partition, records, lastOffset, highWatermark }
}

/** A marker's key is two numbers of 16 bits: version, and 0 for an abort. */
const isAbort = ({ key }: KafkaRecord): boolean => {
  const bytes = Buffer.from(key ?? [])
  return bytes.length >= 4 && bytes.readInt16BE(2) === 0
}
