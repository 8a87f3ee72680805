// A set of offsets, as ranges: what was taken off lies close together.
import type { OffsetRange } from './ranges.ts'

export interface Offsets {
  add(range: OffsetRange): void
  has(offset: bigint): boolean
  /** How many are from `begin` on, and before `end`. */
  count(begin: bigint, end: bigint): bigint
  ranges(): readonly OffsetRange[]
}

export function createOffsets(): Offsets {
  let list: OffsetRange[] = []
  /** The first range that ends at this offset or behind it. */
  const at = (offset: bigint): number => {
    let [low, high] = [0, list.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((list[middle] as OffsetRange)[1] < offset) low = middle + 1
      else high = middle
    }
    return low
  }
  return {
    add([from, to]) {
      // Neighbours become one.
      const first = at(from - 1n)
      let [begin, end, next] = [from, to, first]
      for (let range = list[next]; range && range[0] <= to + 1n; range = list[++next]) {
        if (range[0] < begin) begin = range[0]
        if (range[1] > end) end = range[1]
      }
      if (first === list.length) list.push([begin, end])
      else list = list.toSpliced(first, next - first, [begin, end])
    },
    has(offset) {
      const range = list[at(offset)]
      return range !== undefined && range[0] <= offset
    },
    count(begin, end) {
      let sum = 0n
      for (let index = at(begin); index < list.length; index++) {
        const [from, to] = list[index] as OffsetRange
        if (from >= end) break
        sum += (to < end ? to + 1n : end) - (from > begin ? from : begin)
      }
      return sum
    },
    ranges: () => list,
  }
}
