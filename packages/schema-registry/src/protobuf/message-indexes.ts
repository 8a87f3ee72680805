// Which message of a Protobuf file the data is of: the way to it by position, as zigzag varints; the first of the file is a single zero.
import { PolybusError } from '@polybus/core'

/** So deep does nobody nest; a body that is none of ours must not make us read for long. */
const MAX_DEPTH = 64

export function writeIndexes(path: readonly number[]): Buffer {
  if (path.length === 1 && path[0] === 0) return Buffer.of(0)
  return Buffer.from([path.length, ...path].flatMap(zigzag))
}

/** @throws {PolybusError} `DECODE_FAILED` */
export function readIndexes(data: Buffer): { readonly path: readonly number[]; readonly data: Buffer } {
  let at = 0
  const next = (): number => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = data[at++]
      if (byte === undefined) throw new PolybusError('DECODE_FAILED', 'the body ends within its message indexes')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw new PolybusError('DECODE_FAILED', 'its message indexes are no numbers of 32 bits')
  }
  const count = next()
  if (count < 0 || count > MAX_DEPTH)
    throw new PolybusError('DECODE_FAILED', `its message indexes say a depth of ${count}`)
  const path = count === 0 ? [0] : Array.from({ length: count }, next)
  return { path, data: data.subarray(at) }
}

function zigzag(value: number): number[] {
  let rest = value < 0 ? -value * 2 - 1 : value * 2
  const bytes: number[] = []
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  return [...bytes, rest]
}
