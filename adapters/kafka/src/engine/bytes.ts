// Kafka's own way to write numbers and texts, as far as batches of records and groups need it. (kafkajs's copies everything once
// for each field, and reads the headers of a record in square time.)
import { isUtf8 } from 'node:buffer'

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
  /** Answers where it was. */
  skip(length: number): number
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
    // Most are of one byte.
    const first = buffer[at]
    if (first !== undefined && first < 0x80) {
      at++
      return first
    }
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
      const first = buffer[at]
      if (first !== undefined && first < 0x80) {
        at++
        return (first >>> 1) ^ -(first & 1)
      }
      const value = unsigned()
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    },
    skip: step,
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

/** Whether so many bytes are the same at both places. */
export function sameBytes(bytes: Uint8Array, a: number, b: number, size: number): boolean {
  // What differs mostly differs at its end.
  for (let at = size - 1; at >= 0; at--) if (bytes[a + at] !== bytes[b + at]) return false
  return true
}

/** For longer ones a call out of JavaScript costs less than a look at each byte. */
const SHORT = 128

/** Undefined where it is no UTF-8. */
export function textAt(bytes: Buffer, from: number, to: number): string | undefined {
  let at = from
  if (to - from <= SHORT) while (at < to && (bytes[at] as number) < 0x80) at++
  if (at === to) return bytes.toString('latin1', from, to)
  const some = bytes.subarray(from, to)
  return isUtf8(some) ? some.toString() : undefined
}

export const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}
export const int16 = (value: number): Buffer => {
  const buffer = Buffer.alloc(2)
  buffer.writeInt16BE(value)
  return buffer
}
/** A text behind its length, which is of 16 bits. */
export const text16 = (text: string): Buffer => {
  const bytes = Buffer.from(text)
  return Buffer.concat([int16(bytes.length), bytes])
}

/** How many bytes {@link putVarint} takes. */
export function varintSize(value: number): number {
  if (value >= -64 && value < 64) return 1
  let rest = value < 0 ? -value * 2 - 1 : value * 2
  let size = 1
  for (; rest >= 128; rest = Math.floor(rest / 128)) size++
  return size
}

/** Answers where it ends. */
export function putVarint(buffer: Buffer, at: number, value: number): number {
  if (value >= -64 && value < 64) {
    buffer[at] = (value << 1) ^ (value >> 31)
    return at + 1
  }
  let rest = value < 0 ? -value * 2 - 1 : value * 2
  let to = at
  for (; rest >= 128; rest = Math.floor(rest / 128)) buffer[to++] = (rest % 128) | 0x80
  buffer[to++] = rest
  return to
}

/** A text behind the length of its UTF-8, as in records. Answers where it ends. */
export function putText(buffer: Buffer, at: number, text: string): number {
  if (text.length > SHORT) {
    const to = putVarint(buffer, at, Buffer.byteLength(text))
    return to + buffer.write(text, to)
  }
  let to = putVarint(buffer, at, text.length)
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 0x80) {
      to = putVarint(buffer, at, Buffer.byteLength(text))
      return to + buffer.write(text, to)
    }
    buffer[to++] = code
  }
  return to
}

/** Writes once more what stands somewhere before. Answers where it ends. */
export function repeat(buffer: Buffer, at: number, from: number, size: number): number {
  if (size > SHORT) buffer.copyWithin(at, from, from + size)
  else for (let index = 0; index < size; index++) buffer[at + index] = buffer[from + index] as number
  return at + size
}

/** Of a byte, and behind it those of a byte that one to seven others follow: eight can be looked up at once. */
const CRC = new Int32Array(8 * 256)
for (let n = 0; n < 256; n++) {
  let c = n
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  CRC[n] = c
}
const crc = (index: number): number => CRC[index] as number
for (let n = 256; n < CRC.length; n++) CRC[n] = crc(crc(n - 256) & 0xff) ^ (crc(n - 256) >>> 8)

/** CRC-32C (Castagnoli), which Node does not have. */
export function crc32c(bytes: Uint8Array): number {
  let c = -1
  let at = 0
  for (const last = bytes.length - 8; at <= last; at += 8) {
    const low =
      c ^ (byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24))
    c =
      crc(1792 + (low & 0xff)) ^
      crc(1536 + ((low >>> 8) & 0xff)) ^
      crc(1280 + ((low >>> 16) & 0xff)) ^
      crc(1024 + (low >>> 24)) ^
      crc(768 + byte(bytes, at + 4)) ^
      crc(512 + byte(bytes, at + 5)) ^
      crc(256 + byte(bytes, at + 6)) ^
      crc(byte(bytes, at + 7))
  }
  for (; at < bytes.length; at++) c = crc((c ^ byte(bytes, at)) & 0xff) ^ (c >>> 8)
  return ~c >>> 0
}
const byte = (bytes: Uint8Array, at: number): number => bytes[at] as number
