// Reads that go on where records were deleted meanwhile.
import type { Call } from '@polybus/core'
import type { Position, Records } from './client.ts'
import { kafkaName } from './errors.ts'
import type { Session } from './session.ts'

/** As the client's `read`; from what is still there, if the offset is not. Behind the end there is nothing. */
export async function readFrom(session: Session, from: Position, limit: number, call: Call): Promise<Records> {
  const { client } = session
  try {
    return await client.read(from, limit, call)
  } catch (error) {
    if (kafkaName(error) !== 'OFFSET_OUT_OF_RANGE') throw error
    const { topic, partition, offset } = from
    const range = (await client.admin.offsets(topic, call)).find((each) => each.partition === partition)
    if (!range) throw error
    if (offset >= range.begin)
      return { topic, partition, records: [], lastOffset: offset - 1n, highWatermark: range.end }
    return client.read({ topic, partition, offset: range.begin }, limit, call)
  }
}
