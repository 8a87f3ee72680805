// One partition's records from the committed position on: fetched, handed out, finished. Pure: no client, no clock.
import type { KafkaRecord } from './client.ts'
import type { Output } from './outputs.ts'
import { type OffsetRange, packRanges } from './ranges.ts'

export interface Entry {
  readonly offset: bigint
  /** With what keeping it costs. */
  readonly bytes: number
  state: 'buffered' | 'out' | 'done'
  /** Undefined when it is done. */
  record: KafkaRecord | undefined
  /** What is to be written when the position passes it. */
  outputs: readonly Output[]
  /** Its place among all that was ever added. */
  readonly index: number
}

export interface Amount {
  count: number
  bytes: number
}

export interface Ledger {
  /** What comes next of this partition: everything before was looked at. */
  readonly fetched: bigint
  /** All before it is finished: what is committed. */
  readonly position: bigint
  /** Fetched and not handed out. */
  readonly buffered: Readonly<Amount>
  /** Handed out or finished, from the position on: so much may run again after a crash. */
  readonly open: Readonly<Amount>
  /** Drops what it has already, and takes what is finished as done. */
  add(records: readonly KafkaRecord[], lastOffset: bigint): void
  /** The oldest that is not handed out. */
  next(): (Entry & { record: KafkaRecord }) | undefined
  take(entry: Entry): void
  finish(entry: Entry, outputs?: readonly Output[]): void
  /** Back to its place. */
  release(entry: Entry): void
  /** Finished ranges behind the position. */
  metadata(): string
}

/** Of what a record costs beside its bytes. */
const OVERHEAD_BYTES = 256
const COMPACT_AT = 1024
const NONE: readonly Output[] = []

/** @param onPass Told of each finished record when the position passes it. */
export function createLedger(
  start: bigint,
  finished: readonly OffsetRange[] = [],
  onPass?: (entry: Entry) => void,
): Ledger {
  let list: Entry[] = []
  /** Entries before it are done; the position has passed them. */
  let head = 0
  /** No buffered one stands before it. */
  let cursor = 0
  /** Index of the first one in `list`. */
  let base = 0
  let fetched = start
  /** Of `finished` those that all that was fetched lies before. */
  let ahead = 0
  const buffered: Amount = { count: 0, bytes: 0 }
  const open: Amount = { count: 0, bytes: 0 }
  const change = (amount: Amount, { bytes }: Entry, by: 1 | -1): void => {
    amount.count += by
    amount.bytes += by * bytes
  }

  const pass = (): void => {
    for (let first = list[head]; first?.state === 'done'; first = list[head]) {
      change(open, first, -1)
      head++
      onPass?.(first)
    }
    cursor = Math.max(cursor, head)
    if (head < COMPACT_AT || head < list.length / 2) return
    list = list.slice(head)
    base += head
    cursor -= head
    head = 0
  }
  const isFinished = (offset: bigint): boolean => {
    for (let range = finished[ahead]; range && range[1] < offset; range = finished[ahead]) ahead++
    const range = finished[ahead]
    return range !== undefined && range[0] <= offset
  }
  function* ranges(): Generator<OffsetRange> {
    yield* doneRanges(list, head)
    // What was not fetched yet must not be forgotten by the next commit.
    for (let index = ahead; index < finished.length; index++) {
      const [from, to] = finished[index] as OffsetRange
      if (to >= fetched) yield [from > fetched ? from : fetched, to]
    }
  }
  const ledger: Ledger = {
    get fetched() {
      return fetched
    },
    get position() {
      return list[head]?.offset ?? fetched
    },
    buffered,
    open,
    add(records, lastOffset) {
      for (const record of records) {
        if (record.offset < fetched) continue
        const done = isFinished(record.offset)
        const entry: Entry = {
          offset: record.offset,
          bytes: record.bytes + OVERHEAD_BYTES,
          state: done ? 'done' : 'buffered',
          record: done ? undefined : record,
          outputs: NONE,
          index: base + list.length,
        }
        list.push(entry)
        change(done ? open : buffered, entry, 1)
        fetched = record.offset + 1n
      }
      if (lastOffset >= fetched) fetched = lastOffset + 1n
      pass()
    },
    next() {
      for (; cursor < list.length; cursor++) {
        const entry = list[cursor]
        if (entry?.state === 'buffered' && entry.record) return entry as Entry & { record: KafkaRecord }
      }
      return undefined
    },
    take(entry) {
      entry.state = 'out'
      change(buffered, entry, -1)
      change(open, entry, 1)
    },
    finish(entry, outputs = NONE) {
      entry.state = 'done'
      entry.outputs = outputs
      entry.record = undefined
      pass()
    },
    release(entry) {
      entry.state = 'buffered'
      change(open, entry, -1)
      change(buffered, entry, 1)
      cursor = Math.min(cursor, entry.index - base)
    },
    metadata: () => packRanges(ledger.position, ranges()),
  }
  return ledger
}

/** Neighbours in the list make one range: where offsets are missing there is nothing to run. */
function* doneRanges(list: readonly Entry[], head: number): Generator<OffsetRange> {
  let from: bigint | undefined
  let to = 0n
  for (let index = head; index < list.length; index++) {
    const entry = list[index] as Entry
    if (entry.state === 'done') {
      from ??= entry.offset
      to = entry.offset
    } else if (from !== undefined) {
      yield [from, to]
      from = undefined
    }
  }
  if (from !== undefined) yield [from, to]
}
