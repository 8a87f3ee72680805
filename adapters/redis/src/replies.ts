// Replies that bring entries are read here, out of the socket's own bytes: ioredis would make a Buffer of each field. All other replies
// go to ioredis as they come, and so does one that is not as expected: nothing is known of it here that ioredis needs.
import type { Command as Request, Redis } from 'ioredis'
import { pack, type Packed } from './fields.ts'
import { ARRAY, createScan, createTape, ERROR, INTEGER, NIL, type Tape } from './resp.ts'

/** A reply with texts as strings, and lists of fields where they lie. */
export type Value = string | number | null | Packed | readonly Value[]

/** Makes a request resolve with such a value, whose lists of fields lie so deep: 1, and they are the items of the reply. */
export type Expect = (request: Request, depth: number) => void

/** Beyond this a reply is left to ioredis, which has no limit: what is gathered here is copied once more at its end. */
const MOST_BYTES = 16 * 2 ** 20
const MOST_ROOM = 64 * 1024
/** A number: ioredis cannot name a reply that is null, nor an empty list, where it expects none. */
const NOTHING = Buffer.from(':0\r\n')
const STAR = 42

type Listener = (piece: Buffer) => void
interface Expected {
  readonly request: Request
  readonly depth: number
  value?: Value
}
/** What is expected of a request stands on it: a Map would be made anew all the time, and what that keeps alive is said in core's chain.ts. */
const EXPECTED = Symbol('expected')
type Marked = Request & { [EXPECTED]?: Expected }

/**
 * Reads what comes to a connection before ioredis does, from now on. Where ioredis is not inside as it was when this was written
 * (6.0), or where something is on its way, all goes through ioredis, and only the values are made the same.
 */
export function readReplies(client: Redis): Expect {
  const inside = innards(client)
  if (!inside) return converting
  const { stream, next, listener } = inside
  /** How many are. */
  let expected = 0
  const scan = createScan()
  let wanted: Expected | undefined
  let tape = createTape(0)
  /** Of the one before: the next is likely to be as long. */
  let room = 64
  /** Of the wanted reply, what came before this piece. */
  let gathered: Buffer[] = []
  let bytes = 0

  const theirs = (piece: Buffer): void => listener.call(stream, piece)
  const handBack = (): void => {
    scan.untape()
    for (const piece of gathered) theirs(piece)
    gathered = []
    wanted = undefined
  }
  const begin = (kind: number | undefined): void => {
    // An error, or nothing: there is nothing to gain.
    wanted = expected > 0 && kind === STAR ? (next() as Marked | undefined)?.[EXPECTED] : undefined
    bytes = 0
    if (wanted) tape = createTape(room)
    scan.begin(wanted && tape)
  }
  const ended = (): void => {
    const [first] = gathered
    const whole = gathered.length === 1 && first ? first : Buffer.concat(gathered)
    // Between two pieces ioredis may have given up all that it asked.
    const value = wanted && next() === wanted.request ? build(whole, tape, wanted.depth) : undefined
    room = Math.min(tape.used + 64, MOST_ROOM)
    tape = createTape(0)
    if (!wanted || value === undefined) return handBack()
    gathered = []
    wanted.value = value
    // Its request is the next one that ioredis has: this makes it leave there as if nothing had been found.
    theirs(NOTHING)
  }
  const read = (piece: Buffer): void => {
    /** Up to here it was given away. */
    let given = 0
    try {
      for (let at = 0; at < piece.length;) {
        if (!scan.within) {
          // Whose reply comes next is known when those before it are through.
          if (expected > 0 && given < at) {
            const before = piece.subarray(given, at)
            given = at
            theirs(before)
          }
          begin(piece[at])
        }
        const end = scan.read(piece, at)
        const to = end < 0 ? piece.length : end
        if (wanted) {
          gathered.push(piece.subarray(at, to))
          bytes += to - at
          if (end >= 0) ended()
          else if (bytes > MOST_BYTES) handBack()
          given = to
        }
        at = to
      }
    } catch (error) {
      stream.off('data', read)
      // Whatever follows cannot be told apart; but what is not for us is for ioredis to judge.
      if (wanted) return void stream.destroy(error as Error)
      stream.prependListener('data', listener)
    }
    if (given < piece.length) theirs(given === 0 ? piece : piece.subarray(given))
  }
  stream.prependListener('data', read)
  stream.off('data', listener)
  return (request, depth) => {
    const one: Expected = { request, depth }
    expected++
    ;(request as Marked)[EXPECTED] = one
    const { resolve, reject } = request
    const resolved: typeof resolve = (reply) => {
      expected--
      resolve(one.value === undefined ? packed(reply, depth) : one.value)
    }
    const rejected: typeof reject = (error) => {
      expected--
      reject(error)
    }
    request.resolve = resolved
    request.reject = rejected
  }
}

/** What ioredis has read gets the same form. */
export const converting: Expect = (request, depth) => {
  const { resolve } = request
  const resolved: typeof resolve = (reply) => resolve(packed(reply, depth))
  request.resolve = resolved
}

interface Innards {
  readonly stream: Redis['stream']
  readonly listener: Listener
  /** Whose reply comes next. */
  readonly next: () => unknown
}

/** The one who decodes is the first that hears of data, and who waits for replies stands in a queue. */
function innards(client: Redis): Innards | undefined {
  const { stream } = client as { readonly stream?: Redis['stream'] }
  const inside = client as unknown as { readonly commandQueue?: Queue }
  const { commandQueue: queue } = inside
  if (typeof stream?.rawListeners !== 'function') return undefined
  if (typeof queue?.peekFront !== 'function' || queue.length !== 0) return undefined
  const [listener, ...others] = stream.rawListeners('data')
  if (typeof listener !== 'function' || others.length > 0) return undefined
  return { stream, listener: listener as Listener, next: () => inside.commandQueue?.peekFront?.()?.command }
}
interface Queue {
  readonly length?: unknown
  peekFront?(): { readonly command?: unknown } | undefined
}

/** Undefined where it is not of the expected form. */
function build(bytes: Buffer, { places, integers }: Tape, depth: number): Value | undefined {
  let at = 0
  const next = (under: number): Value | undefined => {
    const first = places[at] as number
    const second = places[at + 1] as number
    at += 2
    if (first >= 0) return bytes.toString('utf8', first, second)
    if (first === INTEGER) return integers[second]
    if (first === NIL) return null
    if (first === ERROR || under > depth) return undefined
    if (under === depth) {
      const from = at
      at += 2 * second
      for (let index = from; index < at; index += 2) if ((places[index] as number) < 0) return undefined
      return { bytes, at: places, from, count: second }
    }
    const items: Value[] = []
    for (let index = 0; index < second; index++) {
      const item = next(under + 1)
      if (item === undefined) return undefined
      items.push(item)
    }
    return items
  }
  return places[0] === ARRAY ? next(0) : undefined
}

/** The same of a reply that ioredis has read. */
export function packed(reply: unknown, depth: number): Value {
  if (Buffer.isBuffer(reply)) return reply.toString()
  if (!Array.isArray(reply)) return reply as string | number | null
  if (depth === 0)
    return pack(
      (reply as (Buffer | number | null)[]).map((field) => (Buffer.isBuffer(field) ? field : `${field ?? ''}`)),
    )
  return (reply as unknown[]).map((item) => packed(item, depth - 1))
}
