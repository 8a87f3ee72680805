// RESP2, as a stream of bytes that is cut anywhere: where a reply ends, and where in it its values lie. It copies nothing.

/** Of a value in a tape, in place of where a text starts. */
export const NIL = -1
export const ARRAY = -2
export const INTEGER = -3
export const ERROR = -4

/** What is in a reply. A list of numbers that grows would be a fifth of all that consuming allocates. */
export interface Tape {
  /** Two numbers a value, in the order of the reply: a text's start and end, or what it is and how many, or which of `integers`. */
  places: Int32Array
  used: number
  readonly integers: number[]
}
/** With room for so many numbers, at first. */
export const createTape = (room: number): Tape => ({ places: new Int32Array(room), used: 0, integers: [] })

function write(tape: Tape, first: number, second: number): void {
  if (tape.used + 2 > tape.places.length) {
    const { places } = tape
    tape.places = new Int32Array(2 * places.length + 2)
    tape.places.set(places)
  }
  tape.places[tape.used++] = first
  tape.places[tape.used++] = second
}

export interface Scan {
  /** The next bytes are those of a new reply. What is in it is written down, if there is a tape. */
  begin(tape?: Tape): void
  /** Nothing more is written down of this one. */
  untape(): void
  /** Whether a reply has begun and not ended. */
  readonly within: boolean
  /** The place behind the end of the reply; -1: it goes on in the next piece. Throws at what is no RESP2, and is of no use then. */
  read(piece: Uint8Array, from: number): number
}

/** As long as a text can be on a server, and more values than a reply can have. */
const MOST = 512 * 2 ** 20
const MOST_DIGITS = 19
const CR = 13
const LF = 10
const PLUS = 43
const MINUS = 45
const COLON = 58
const STAR = 42
const DOLLAR = 36

/** What is expected next. */
const KIND = 0
const SIGN = 1
const DIGITS = 2
const NEWLINE = 3
const LINE = 4
const TEXT = 5
const TEXT_CR = 6
const TEXT_LF = 7

export function createScan(): Scan {
  let tape: Tape | undefined
  let state = KIND
  /** Values that are still to come, the one under way included. */
  let left = 0
  let kind = 0
  let negative = false
  let digits = 0
  let number = 0
  /** Bytes of the text under way that are still to come. */
  let rest = 0
  /** Where that text starts and ends, and where the piece does, from the start of the reply. */
  let start = 0
  let end = 0
  let before = 0
  let fresh = false

  const put = (first: number, second: number): void => {
    left--
    if (tape) write(tape, first, second)
  }
  const numberEnded = (at: number): void => {
    state = KIND
    if (kind === COLON) return put(INTEGER, tape ? tape.integers.push(negative ? -number : number) - 1 : 0)
    if (negative && number === 1) return put(NIL, 0)
    if (negative || number > MOST) throw broken(`a length of ${negative ? '-' : ''}${number}`)
    if (kind === STAR) {
      put(ARRAY, number)
      left += number
      if (left > MOST) throw broken(`${left} values`)
      return
    }
    start = at
    rest = number
    state = TEXT
  }
  /** A text that is there as a whole, which nearly all are: its end, or 0. It changes nothing otherwise. */
  const wholeText = (piece: Uint8Array, from: number): number => {
    let length = 0
    let at = from
    let byte = piece[at++] as number
    if (!(byte >= 48 && byte <= 57)) return 0
    do {
      length = length * 10 + byte - 48
      byte = piece[at++] as number
    } while (byte >= 48 && byte <= 57 && at - from < 9)
    const to = at + 1 + length
    if (byte !== CR || piece[at] !== LF || piece[to] !== CR || piece[to + 1] !== LF) return 0
    put(before + at + 1, before + to)
    return to + 2
  }
  const read = (piece: Uint8Array, from: number): number => {
    const { length } = piece
    let at = from
    if (fresh) before = -from
    fresh = false
    while (left > 0 && at < length) {
      switch (state) {
        case KIND: {
          kind = piece[at++] as number
          const behind = kind === DOLLAR ? wholeText(piece, at) : 0
          if (behind > 0) at = behind
          else if (kind === PLUS || kind === MINUS) {
            start = before + at
            state = LINE
          } else if (kind === DOLLAR || kind === COLON || kind === STAR) {
            negative = false
            number = digits = 0
            state = SIGN
          } else throw unexpected(kind)
          break
        }
        case SIGN: {
          const byte = piece[at]
          negative = byte === MINUS
          if (negative || (byte === PLUS && kind === COLON)) at++
          state = DIGITS
          break
        }
        case DIGITS: {
          const byte = piece[at++] as number
          if (byte >= 48 && byte <= 57 && ++digits <= MOST_DIGITS) number = number * 10 + byte - 48
          else if (byte === CR && digits > 0) state = NEWLINE
          else throw unexpected(byte)
          break
        }
        case NEWLINE:
          must(piece[at++], LF)
          numberEnded(before + at)
          break
        case LINE: {
          const found = piece.indexOf(CR, at)
          at = found < 0 ? length : found + 1
          if (found < 0) break
          end = before + found
          state = TEXT_LF
          break
        }
        case TEXT: {
          const some = Math.min(rest, length - at)
          at += some
          rest -= some
          if (rest > 0) break
          end = before + at
          state = TEXT_CR
          break
        }
        case TEXT_CR:
          must(piece[at++], CR)
          state = TEXT_LF
          break
        default:
          must(piece[at++], LF)
          state = KIND
          if (kind === MINUS) put(ERROR, 0)
          else put(start, end)
      }
    }
    before += length
    return left === 0 ? at : -1
  }
  return {
    begin(to) {
      tape = to
      left = 1
      fresh = true
    },
    untape() {
      tape = undefined
    },
    get within() {
      return left > 0
    },
    read,
  }
}

const must = (byte: number | undefined, wanted: number): void => {
  if (byte !== wanted) throw unexpected(byte)
}
const unexpected = (byte: number | undefined): Error => broken(`the byte ${byte}`)
/** The text is one that errors.ts knows. */
const broken = (what: string): Error => new Error(`Protocol error, got ${what} in a reply`)
