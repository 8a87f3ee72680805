// Kafka's own way to write numbers and texts, as far as batches of records need it. kafkajs's copies everything once for each
// field, and reads the headers of a record in square time.

/** Reads from front to back. Throws a RangeError behind the end. */
export interface Reader {
  readonly at: number
  readonly left: number
  int8(): number
  int16(): number
  int32(): number
  int64(): bigint
  /** Exact to 2^53. */
  unsigned(): number
  /** With zigzag, as in records. Exact to 2^53. */
  varint(): number
  /** Undefined: more was promised than there is. */
  bytes(length: number): Buffer
  string(): string
}

export function reader(buffer: Buffer): Reader {
  let at = 0
  const step = (length: number): number => {
    const from = at
    if (length < 0 || from + length > buffer.length) throw new RangeError('a record ends behind its batch')
    at += length
    return from
  }
  const unsigned = (): number => {
    let value = 0
    for (let scale = 1, count = 0; count < 10; scale *= 128, count++) {
      const byte = buffer[step(1)] as number
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    throw new RangeError('a number is too long')
  }
  return {
    get at() {
      return at
    },
    get left() {
      return buffer.length - at
    },
    int8: () => buffer.readInt8(step(1)),
    int16: () => buffer.readInt16BE(step(2)),
    int32: () => buffer.readInt32BE(step(4)),
    int64: () => buffer.readBigInt64BE(step(8)),
    unsigned,
    varint() {
      const value = unsigned()
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    },
    bytes: (length) => {
      const from = step(length)
      return buffer.subarray(from, from + length)
    },
    string() {
      const length = this.int16()
      return length < 0 ? '' : this.bytes(length).toString()
    },
  }
}

/** How many bytes {@link putVarint} takes. */
export function varintSize(value: number): number {
  let rest = value < 0 ? -value * 2 - 1 : value * 2
  let size = 1
  for (; rest >= 128; rest = Math.floor(rest / 128)) size++
  return size
}

/** Answers where it ends. */
export function putVarint(buffer: Buffer, at: number, value: number): number {
  let rest = value < 0 ? -value * 2 - 1 : value * 2
  let to = at
  for (; rest >= 128; rest = Math.floor(rest / 128)) buffer[to++] = (rest % 128) | 0x80
  buffer[to++] = rest
  return to
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  return c
})

/** CRC-32C (Castagnoli), which Node does not have. */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (let at = 0; at < bytes.length; at++) c = (CRC[(c ^ (bytes[at] as number)) & 0xff] as number) ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}
