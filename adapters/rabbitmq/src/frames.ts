// Frames that bring messages are read here, out of the socket's own bytes: amqplib makes a text of each attribute, although from
// message to message nearly all of them are the same. All other frames, and what is not as expected, amqplib reads itself.
import type { ChannelModel } from 'amqplib'

/** What amqplib's channels take for a frame, of those that are read here. */
interface Delivered {
  readonly id: number
  readonly channel: number
  readonly fields: {
    readonly consumerTag: string
    readonly deliveryTag: number
    readonly redelivered: boolean
    readonly exchange: string
    readonly routingKey: string
  }
}
interface Described {
  readonly id: number
  readonly channel: number
  /** Of the body. */
  readonly size: number
  readonly fields: Readonly<Record<string, unknown>>
}
interface Carried {
  readonly channel: number
  readonly content: Buffer
}

/** The inside of amqplib's connection, as it was when this was written (2.3). */
interface Inside {
  rest: Buffer
  recvSinceLastCheck: boolean
  readonly maxFrameSize: number
  readonly stream: { read(): Buffer | null }
  recvFrame(): unknown
}

const METHOD = 1
const HEADER = 2
const BODY = 3
const END = 206
const BEFORE_PAYLOAD = 7
const BASIC = 60
const BASIC_DELIVER = 3_932_220
const LONG_STRING = 83

/** From now on. Where amqplib is not inside as it was, it goes on alone. */
export function readDeliveries({ connection }: Pick<ChannelModel, 'connection'>): void {
  const inside = connection as unknown as Inside
  if (!isKnown(inside)) return
  const theirs = inside.recvFrame.bind(inside)
  const read = createReader()
  let bytes = inside.rest
  let at = 0
  /** The next one is whole, or it is wrong: that is amqplib's to say. */
  const leave = (): unknown => {
    inside.rest = bytes.subarray(at)
    const frame = theirs()
    bytes = inside.rest
    at = 0
    return frame
  }
  inside.recvFrame = () => {
    for (;;) {
      if (bytes.length - at >= BEFORE_PAYLOAD) {
        const size = u32(bytes, at + 3)
        const end = at + BEFORE_PAYLOAD + size
        if (inside.maxFrameSize > 0 && size > inside.maxFrameSize) return leave()
        if (end < bytes.length) {
          const frame = bytes[end] === END ? read(bytes, at, end) : undefined
          if (!frame) return leave()
          at = end + 1
          return frame
        }
      }
      const piece = inside.stream.read()
      if (piece === null) return false
      inside.recvSinceLastCheck = true
      bytes = at === bytes.length ? piece : Buffer.concat([bytes.subarray(at), piece])
      at = 0
    }
  }
}

const isKnown = ({ rest, stream, maxFrameSize, recvFrame }: Partial<Inside>): boolean =>
  Buffer.isBuffer(rest) &&
  typeof stream?.read === 'function' &&
  typeof maxFrameSize === 'number' &&
  typeof recvFrame === 'function'

const u32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) * 0x1_00_00_00 +
  (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
const u64 = (bytes: Uint8Array, at: number): number => u32(bytes, at) * 0x1_00_00_00_00 + u32(bytes, at + 4)

/** Not to be changed. */
type Table = Readonly<Record<string, string>>

/** Of the frame from `at` to its end mark; undefined: not one for us. */
type Read = (bytes: Buffer, at: number, end: number) => Delivered | Described | Carried | undefined

function createReader(): Read {
  /** What stood in each place of the message before, and mostly stands there again. */
  const deliver = createTexts()
  const properties = createTexts()
  const names = createTexts()
  const values = createTexts()
  const last: Seen = { bytes: Buffer.alloc(0), from: 0, length: -1 }
  let headers: Table = {}

  return (bytes, start, end) => {
    const channel = ((bytes[start + 1] as number) << 8) | (bytes[start + 2] as number)
    const from = start + BEFORE_PAYLOAD
    switch (bytes[start]) {
      case BODY:
        return { channel, content: bytes.subarray(from, end) }
      case METHOD: {
        if (u32(bytes, from) !== BASIC_DELIVER) return undefined
        const fields = delivered(bytes, from + 4, end)
        return fields && { id: BASIC_DELIVER, channel, fields }
      }
      case HEADER: {
        if (((bytes[from] as number) << 8) + (bytes[from + 1] as number) !== BASIC) return undefined
        // No message is so long.
        if ((bytes[from + 4] as number) > 0) return undefined
        const fields = described(bytes, from + 12, end)
        return fields && { id: BASIC, channel, size: u64(bytes, from + 4), fields }
      }
      default:
        return undefined
    }
  }

  function delivered(bytes: Buffer, from: number, end: number): Delivered['fields'] | undefined {
    let at = from
    const consumerTag = deliver.read(0, bytes, at + 1, bytes[at] as number)
    at += 1 + (bytes[at] as number)
    const deliveryTag = u64(bytes, at)
    const redelivered = ((bytes[at + 8] as number) & 1) === 1
    at += 9
    const exchange = deliver.read(1, bytes, at + 1, bytes[at] as number)
    at += 1 + (bytes[at] as number)
    const routingKey = deliver.read(2, bytes, at + 1, bytes[at] as number)
    at += 1 + (bytes[at] as number)
    return at === end ? { consumerTag, deliveryTag, redelivered, exchange, routingKey } : undefined
  }

  function described(bytes: Buffer, from: number, end: number): Described['fields'] | undefined {
    const flags = ((bytes[from] as number) << 8) | (bytes[from + 1] as number)
    // None at all, or more than there are.
    if (flags === 0 || (flags & 3) !== 0) return undefined
    let at = from + 2
    const text = (place: number, flag: number): string | undefined => {
      if ((flags & flag) === 0) return undefined
      const length = bytes[at] as number
      at += 1 + length
      return at <= end ? properties.read(place, bytes, at - length, length) : undefined
    }
    const octet = (flag: number): number | undefined => ((flags & flag) === 0 ? undefined : bytes[at++])
    const contentType = text(0, 0x8000)
    const contentEncoding = text(1, 0x4000)
    let headers: Table | undefined
    if ((flags & 0x2000) !== 0) {
      const length = u32(bytes, at)
      at += 4 + length
      if (at > end) return undefined
      headers = table(bytes, at - length, at)
      if (!headers) return undefined
    }
    const fields = {
      contentType,
      contentEncoding,
      headers,
      deliveryMode: octet(0x1000),
      priority: octet(0x0800),
      correlationId: text(2, 0x0400),
      replyTo: text(3, 0x0200),
      expiration: text(4, 0x0100),
      messageId: text(5, 0x0080),
      timestamp: (flags & 0x0040) === 0 ? undefined : u64(bytes, (at += 8) - 8),
      type: text(6, 0x0020),
      userId: text(7, 0x0010),
      appId: text(8, 0x0008),
      clusterId: text(9, 0x0004),
    }
    return at === end ? fields : undefined
  }

  /** Of texts alone: other values are rare, and amqplib's. Messages of one millisecond mostly have the same, and share it. */
  function table(bytes: Buffer, from: number, end: number): Table | undefined {
    if (!isSame(last, bytes, from, end - from)) {
      const fields = tableOf(bytes, from, end)
      if (!fields) return undefined
      headers = fields
      last.length = end - from
    }
    last.bytes = bytes
    last.from = from
    return headers
  }
  function tableOf(bytes: Buffer, from: number, end: number): Table | undefined {
    const fields: Record<string, string> = {}
    for (let at = from, place = 0; at < end; place++) {
      const nameLength = bytes[at] as number
      const name = at + 1
      const kind = name + nameLength
      at = kind + 5
      if (at > end || bytes[kind] !== LONG_STRING) return undefined
      const length = u32(bytes, kind + 1)
      at += length
      if (at > end) return undefined
      fields[names.read(place, bytes, name, nameLength)] = values.read(place, bytes, at - length, length)
    }
    return fields
  }
}

/** Longer ones are not likely to come again. */
const LONGEST = 64
/** A table with more than these is rare. */
const PLACES = 32

/** What was read, and where: in the message before, whose bytes are still at hand. */
interface Seen {
  bytes: Uint8Array
  from: number
  length: number
}
interface Place extends Seen {
  text: string
}
interface Texts {
  /** The text there; the same one as the last in this place, where its bytes are the same. */
  read(place: number, bytes: Buffer, from: number, length: number): string
}

function createTexts(): Texts {
  const places: Place[] = []
  return {
    read(number, bytes, from, length) {
      if (length > LONGEST || number >= PLACES) return bytes.toString('utf8', from, from + length)
      for (let next = places.length; next <= number; next++) places.push({ bytes, from, length: -1, text: '' })
      const place = places[number] as Place
      if (!isSame(place, bytes, from, length)) {
        place.text = bytes.toString('utf8', from, from + length)
        place.length = length
      }
      // Here, and not where it was first: what lies around it would be kept for as long.
      place.bytes = bytes
      place.from = from
      return place.text
    },
  }
}

function isSame(
  { bytes: before, from: start, length: size }: Seen,
  bytes: Uint8Array,
  from: number,
  length: number,
): boolean {
  if (size !== length) return false
  // From the end: what is alike begins alike.
  for (let index = length - 1; index >= 0; index--) if (before[start + index] !== bytes[from + index]) return false
  return true
}
