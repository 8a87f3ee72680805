// What of a partition is finished behind its committed position travels in the commit's metadata, so that who comes next need
// not run it again: `1:` and ranges of offsets counted from the position, such as `1:1-999,1004`.

import { STAMP_BYTES } from './stamp.ts'

/** Both ends included. */
export type OffsetRange = readonly [from: bigint, to: bigint]

const MARK = '1:'
/** Kafka's default `offset.metadata.max.bytes`: one byte more, and the broker refuses the whole commit. */
const MAX_BYTES = 4096 - STAMP_BYTES
const FORM = /^1:\d+(-\d+)?(,\d+(-\d+)?)*$/

/** Cut where it gets too long: the rest runs again. */
export function packRanges(position: bigint, ranges: Iterable<OffsetRange>): string {
  let text = ''
  for (const [from, to] of ranges) {
    const one = from === to ? String(from - position) : `${from - position}-${to - position}`
    const longer = text === '' ? MARK + one : `${text},${one}`
    if (longer.length > MAX_BYTES) break
    text = longer
  }
  return text
}

/** What somebody else wrote there means nothing. */
export function unpackRanges(position: bigint, metadata: string | undefined): readonly OffsetRange[] {
  if (metadata === undefined || !FORM.test(metadata)) return []
  return metadata
    .slice(MARK.length)
    .split(',')
    .map((one): OffsetRange => {
      const [from = '', to = from] = one.split('-')
      return [position + BigInt(from), position + BigInt(to)]
    })
}
