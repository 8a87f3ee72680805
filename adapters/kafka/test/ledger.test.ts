// One partition's bookkeeping: what is committed is finished, and nothing else is.
import { describe, expect, it } from 'vitest'
import type { KafkaRecord } from '../src/client.ts'
import { createLedger, type Ledger } from '../src/ledger.ts'
import { packRanges, unpackRanges } from '../src/ranges.ts'
import { readStamp, stamp } from '../src/stamp.ts'

const record = (offset: number | bigint): KafkaRecord => ({
  topic: 'orders',
  partition: 0,
  offset: BigInt(offset),
  timestamp: 0,
  key: null,
  value: Buffer.alloc(100),
  headers: [],
  bytes: 100,
})
const add = (ledger: Ledger, ...offsets: readonly (number | bigint)[]): void =>
  ledger.add(offsets.map(record), BigInt(offsets.at(-1) ?? -1))
/** Hands out all that is buffered. */
function takeAll(ledger: Ledger): Map<number, Parameters<Ledger['finish']>[0]> {
  const taken = new Map<number, Parameters<Ledger['finish']>[0]>()
  for (let entry = ledger.next(); entry; entry = ledger.next()) {
    ledger.take(entry)
    taken.set(Number(entry.offset), entry)
  }
  return taken
}
const finish = (ledger: Ledger, from: ReturnType<typeof takeAll>, ...offsets: readonly number[]): void => {
  for (const offset of offsets) ledger.finish(from.get(offset) as Parameters<Ledger['finish']>[0])
}

describe('kafka: the ledger of a partition', () => {
  it('commits up to the oldest unfinished record, whatever the order of finishing', () => {
    const ledger = createLedger(10n)
    add(ledger, 10, 11, 12, 13)
    const taken = takeAll(ledger)
    finish(ledger, taken, 13, 11)
    expect(ledger.position).toBe(10n)
    finish(ledger, taken, 10)
    expect(ledger.position).toBe(12n)
    finish(ledger, taken, 12)
    expect(ledger.position).toBe(14n)
    expect(ledger.open).toEqual({ count: 0, bytes: 0 })
  })

  it('passes gaps, and markers behind the last record', () => {
    const ledger = createLedger(0n)
    add(ledger, 3, 900, 9_007_199_254_740_993n)
    finish(ledger, takeAll(ledger), 3, 900)
    expect(ledger.position).toBe(9_007_199_254_740_993n)
    const clean = createLedger(5n)
    clean.add([], 6n)
    expect(clean.position).toBe(7n)
  })

  it('does not pass what is only fetched', () => {
    const ledger = createLedger(0n)
    add(ledger, 0, 1, 2)
    expect(ledger.position).toBe(0n)
    expect(ledger.buffered.count).toBe(3)
    expect(ledger.fetched).toBe(3n)
  })

  it('takes nothing twice when a fetch begins where it has been already', () => {
    const ledger = createLedger(0n)
    add(ledger, 0, 1, 2)
    add(ledger, 1, 2, 3)
    expect([...takeAll(ledger).keys()]).toEqual([0, 1, 2, 3])
  })

  it('puts what is released back to its place', () => {
    const ledger = createLedger(0n)
    add(ledger, 0, 1, 2, 3)
    const taken = takeAll(ledger)
    finish(ledger, taken, 2)
    ledger.release(taken.get(3) as never)
    ledger.release(taken.get(0) as never)
    ledger.release(taken.get(1) as never)
    expect(ledger.position).toBe(0n)
    expect([...takeAll(ledger).keys()]).toEqual([0, 1, 3])
  })

  it('keeps its place over many thousand records, and its memory small', () => {
    const ledger = createLedger(0n)
    for (let round = 0; round < 50; round++) {
      add(ledger, ...Array.from({ length: 1000 }, (_, index) => round * 1000 + index))
      const taken = takeAll(ledger)
      finish(ledger, taken, ...[...taken.keys()].toReversed())
      const last = round * 1000 + 999
      expect(ledger.position).toBe(BigInt(last) + 1n)
    }
    add(ledger, 50_000, 50_001)
    const taken = takeAll(ledger)
    ledger.release(taken.get(50_000) as never)
    finish(ledger, taken, 50_001)
    expect(ledger.next()?.offset).toBe(50_000n)
    expect(ledger.metadata()).toBe('1:1')
  })
})

describe('kafka: finished ranges in the metadata of a commit', () => {
  it('tells the next owner what need not run again', () => {
    const ledger = createLedger(0n)
    add(ledger, 0, 1, 2, 7, 8, 9)
    const taken = takeAll(ledger)
    finish(ledger, taken, 1, 7, 9)
    expect(ledger.metadata()).toBe('1:1,7,9')
    finish(ledger, taken, 2)
    // Between 2 and 7 there is nothing.
    expect(ledger.metadata()).toBe('1:1-7,9')
    const next = createLedger(ledger.position, unpackRanges(ledger.position, ledger.metadata()))
    add(next, 0, 1, 2, 7, 8, 9)
    expect([...takeAll(next).keys()]).toEqual([0, 8])
  })

  it('is not forgotten by a next owner that commits before it has fetched so far', () => {
    const next = createLedger(0n, unpackRanges(0n, '1:1,5-9,20'))
    add(next, 0, 1, 2)
    expect(next.metadata()).toBe('1:1,5-9,20')
    add(next, 6)
    expect(next.metadata()).toBe('1:1,6,7-9,20')
    const last = createLedger(0n, unpackRanges(0n, next.metadata()))
    add(last, 0, 1, 2, 6, 7, 20, 21)
    expect([...takeAll(last).keys()]).toEqual([0, 2, 21])
  })

  it('never gets longer than what the broker takes', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => [BigInt(2 * index + 1), BigInt(2 * index + 1)] as const)
    const text = packRanges(0n, many)
    const stamped = stamp('A'.repeat(22), text)
    expect(stamped.length).toBeLessThanOrEqual(4096)
    expect(stamped.length).toBeGreaterThan(4080)
    expect(readStamp(stamped)).toEqual({ topicId: 'A'.repeat(22), rest: text })
    expect(unpackRanges(0n, text)[0]).toEqual([1n, 1n])
  })

  it('takes nothing from what others write there', () => {
    for (const text of ['', 'consumer-1', '1:', '1:a', '1:1-', '2:1-5', undefined, '{"1":5}'])
      expect(unpackRanges(5n, text)).toEqual([])
    expect(unpackRanges(5n, '1:0-2,4')).toEqual([
      [5n, 7n],
      [9n, 9n],
    ])
  })
})
