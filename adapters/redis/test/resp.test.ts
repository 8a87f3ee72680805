import { describe, expect, test } from 'vitest'
import { ARRAY, createScan, createTape, ERROR, INTEGER, NIL, type Tape } from '../src/resp.ts'
import { numbers } from './resp-samples.ts'

/** The end of the reply, in pieces of the given lengths (the last one goes on), and its tape. */
function scanned(bytes: Buffer, lengths: readonly number[] = []): { end: number; tape: number[] } {
  const scan = createScan()
  const tape = createTape(0)
  scan.begin(tape)
  let at = 0
  for (const length of [...lengths, Infinity]) {
    const piece = bytes.subarray(at, at + length)
    const end = scan.read(piece, 0)
    if (end >= 0) {
      expect(scan.within).toBe(false)
      return { end: at + end, tape: written(tape) }
    }
    expect(scan.within).toBe(true)
    at += piece.length
  }
  return { end: -1, tape: written(tape) }
}
/** With integers in their places. */
const written = ({ places, used, integers }: Tape): number[] =>
  [...places.subarray(0, used)].map((number, index, all) =>
    index % 2 === 1 && all[index - 1] === INTEGER ? (integers[number] ?? NaN) : number,
  )
const scan = (text: string): { end: number; tape: number[] } => scanned(Buffer.from(text, 'latin1'))

describe('redis: where the values of a reply lie', () => {
  test.each([
    ['$3\r\nfoo\r\n', [4, 7]],
    ['$0\r\n\r\n', [4, 4]],
    ['$4\r\n\r\n\r\n\r\n', [4, 8]],
    ['$-1\r\n', [NIL, 0]],
    ['*-1\r\n', [NIL, 0]],
    ['*0\r\n', [ARRAY, 0]],
    ['+OK\r\n', [1, 3]],
    ['+\r\n', [1, 1]],
    ['-ERR no\r\n', [ERROR, 0]],
    [':0\r\n', [INTEGER, 0]],
    [':+12\r\n', [INTEGER, 12]],
    [':-9223372036854775807\r\n', [INTEGER, -(2 ** 63)]],
    ['*2\r\n*1\r\n:7\r\n$1\r\na\r\n', [ARRAY, 2, ARRAY, 1, INTEGER, 7, 16, 17]],
  ])('%j', (text, tape) => {
    expect(scan(text)).toEqual({ end: text.length, tape })
    expect(scan(`${text}:5\r\n`).end).toBe(text.length)
    for (let cut = 1; cut < text.length; cut++)
      expect(scanned(Buffer.from(text), [cut])).toEqual({ end: text.length, tape })
    expect(
      scanned(
        Buffer.from(text),
        Array.from(text, () => 1),
      ),
    ).toEqual({ end: text.length, tape })
    for (let cut = 1; cut < text.length; cut++) expect(scan(text.slice(0, cut)).end).toBe(-1)
  })

  test.each([
    'x',
    '\r\n',
    '$\r\n',
    '$a\r\n',
    '$1a\r\n',
    '$+1\r\na\r\n',
    '$-2\r\n',
    '$-0\r\n',
    '*-5\r\n',
    '*--1\r\n',
    ':\r\n',
    ':+\r\n',
    ':-+1\r\n',
    ':1\rx',
    '$3\r\nfooo\r\n',
    '$3\r\nfoo\rx',
    '$3\r\nfo\r\n\r\n',
    '$3\rxfoo\r\n',
    '+OK\rx',
    '*1\r\nx',
    '%1\r\n',
    '$536870913\r\n',
    '*536870913\r\n',
    '*536870000\r\n*536870000\r\n',
    '$99999999999999999999\r\n',
  ])('what is no RESP2 is said so, wherever it is cut: %j', (text) => {
    expect(() => scan(text)).toThrow(/^Protocol error, got /)
    for (let cut = 1; cut < text.length; cut++)
      expect(() => scanned(Buffer.from(text), [cut])).toThrow(/^Protocol error, got /)
  })

  test('what a reply says that it has takes no memory before it comes', () => {
    const { end, tape } = scan('*536870000\r\n$536870912\r\nabc')
    expect(end).toBe(-1)
    expect(tape).toEqual([ARRAY, 536870000])
  })

  test('any bytes in any pieces are one reply, go on, or are refused, in the same way as in one piece', () => {
    const random = numbers(7)
    const alphabet = '$*:+-0123\r\n\r\n\r\nab'
    const seen = new Set<string>()
    const outcome = (bytes: Buffer, lengths: readonly number[]): unknown => {
      try {
        const { end, tape } = scanned(bytes, lengths)
        seen.add(end < 0 ? 'goes on' : 'ends')
        return { end, tape }
      } catch (error) {
        seen.add('refused')
        return String(error)
      }
    }
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: 1 + random(24) }, () => alphabet[random(alphabet.length)]).join('')
      const bytes = Buffer.from(`${['*2\r\n', '$2\r\n', ':', ''][random(4)]}${text}`)
      const whole = outcome(bytes, [])
      expect(outcome(bytes, [1 + random(4), 1 + random(4), 1 + random(4)])).toEqual(whole)
      expect(
        outcome(
          bytes,
          Array.from(bytes, () => 1),
        ),
      ).toEqual(whole)
    }
    expect(seen).toEqual(new Set(['goes on', 'ends', 'refused']))
  })
})
