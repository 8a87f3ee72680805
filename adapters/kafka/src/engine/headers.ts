// Headers of the records of a batch, read where they lie. Most are the same from record to record: what stands at the same place
// in the one before, byte for byte, is not made anew.
import type { RecordHeader, RecordHeaders } from '../client.ts'
import { type Reader, sameBytes, textAt } from './bytes.ts'

/** @param from Reads these bytes. The answer takes so many headers from it. */
export function headersIn(bytes: Buffer, from: Reader): (count: number) => RecordHeaders {
  let before: RecordHeaders = []
  /** Of those before, by place: where each begins, and how long it is with and without its value. */
  const starts: number[] = []
  const sizes: number[] = []
  const nameSizes: number[] = []

  return (count) => {
    const headers: RecordHeader[] = []
    for (let index = 0; index < count; index++) {
      const { at } = from
      const last = before[index]
      const start = starts[index] ?? 0
      const size = sizes[index] ?? 0
      if (last && sameBytes(bytes, start, at, size)) {
        from.skip(size)
        headers.push(last)
      } else {
        const nameSize = nameSizes[index] ?? 0
        const known = last && sameBytes(bytes, start, at, nameSize)
        if (known) from.skip(nameSize)
        const name = known ? last[0] : from.bytes(from.varint()).toString()
        nameSizes[index] = from.at - at
        // Null is read as empty.
        const length = Math.max(0, from.varint())
        const value = from.skip(length)
        headers.push([name, textAt(bytes, value, value + length) ?? bytes.subarray(value, value + length)])
        sizes[index] = from.at - at
      }
      starts[index] = at
    }
    before = headers
    return headers
  }
}
