// The oracle must be able to say no: one test for each thing that may not be.
import { expect, test } from 'vitest'
import { createLedger, type Ledger } from '../src/ledger.ts'

const nothing = () => new Set<string>()
const publisher = {}

function ledger(): Ledger {
  const made = createLedger(() => 0)
  made.expect('c', 'g')
  return made
}
const publish = (to: Ledger, id: string, key?: string, error?: { sent?: 'no' | 'unknown' }) =>
  to.publishing(publisher, 'c', id, key)(error)
const handle = (by: Ledger, id: string, failed = false) =>
  by.started('c', 'g', { id, attempt: 1, consumer: 'a' })(failed)

test('a resolved publish that nobody handled is a loss; one in the dead letters is none', () => {
  const book = ledger()
  publish(book, 'm1')
  expect(book.open('c', 'g')).toEqual(['m1'])
  expect(book.violations(nothing)).toEqual([expect.stringContaining('neither handled nor in the dead letters: m1')])
  expect(book.violations(() => new Set(['m1']))).toEqual([])
  handle(book, 'm1', true)
  expect(book.violations(nothing)).toHaveLength(1)
  handle(book, 'm1')
  expect(book.violations(nothing)).toEqual([])
})

test('an uncertain publish may be lost or there; a certainly unsent one may not be there', () => {
  const book = ledger()
  publish(book, 'm1', undefined, { sent: 'unknown' })
  publish(book, 'm2', undefined, { sent: 'no' })
  expect(book.violations(nothing)).toEqual([])
  handle(book, 'm1')
  expect(book.violations(nothing)).toEqual([])
  handle(book, 'm2')
  expect(book.violations(nothing)).toEqual([expect.stringContaining('certainly not sent, yet delivered: m2')])
})

test('an effect that happened twice counts where a store promises once, and only there', () => {
  const book = ledger()
  publish(book, 'm1')
  handle(book, 'm1')
  handle(book, 'm1')
  expect(book.violations(nothing)).toEqual([])
  book.expect('c', 'g', { once: true })
  expect(book.violations(nothing)).toEqual([expect.stringContaining('happened twice: m1')])
  book.excuse('c', 'g', { repeats: ['m1'] })
  expect(book.violations(nothing)).toEqual([])
})

test('order is that of first successes, key by key, dead-lettered ones excepted', () => {
  const book = ledger()
  for (const id of ['m1', 'm2', 'm3']) publish(book, id, 'k')
  publish(book, 'other', 'l')
  for (const id of ['other', 'm2', 'm1', 'm3']) handle(book, id)
  expect(book.violations(nothing)).toEqual([expect.stringContaining("order of key 'k' broken: m2 succeeded before m1")])
  book.deadLettered('c', 'g', 'm1')
  expect(book.violations(nothing)).toEqual([])
})
