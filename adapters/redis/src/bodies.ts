// Bodies lie in what came from the socket, up to megabytes in one piece with others. Whoever keeps one body must not keep all of it.
import { endOf, type Packed, startOf } from './fields.ts'

/** Bodies share so many bytes, at least. */
const SLAB = 8 * 1024
/** Or so many times those of one; one that is at least such a part of what it lies in stays there. */
const TIMES = 8
/** Above this nothing is shared: to allocate costs less than to copy. */
const LARGE = 16 * 1024

/** The bytes of a field, which hold on to no more than eight times their own, or 8 KiB. */
export type Keep = (fields: Packed, index: number) => Buffer

export function createKeep(): Keep {
  let slab: Buffer | undefined
  let used = 0
  const room = (length: number): Buffer => {
    if (length > LARGE) return Buffer.allocUnsafeSlow(length)
    const most = Math.max(SLAB, TIMES * length)
    if (slab === undefined || used + length > slab.length || slab.length > most) {
      slab = Buffer.allocUnsafeSlow(most)
      used = 0
    }
    return slab.subarray(used, (used += length))
  }
  return (fields, index) => {
    const { bytes } = fields
    const start = startOf(fields, index)
    const end = endOf(fields, index)
    if (TIMES * (end - start) >= bytes.buffer.byteLength) return bytes.subarray(start, end)
    const own = room(end - start)
    bytes.copy(own, 0, start, end)
    return own
  }
}
