import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openJournal, readJournal } from '../src/journal.ts'

let folder = ''
const file = () => join(folder, 'journal')
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'polybus-journal-'))))
afterEach(() => rmSync(folder, { recursive: true }))

test('what was begun and what was confirmed, by whom', () => {
  const journal = openJournal(file(), 'publisher-1.1')
  journal.started(4)
  journal.started(5)
  journal.confirmed(5)
  journal.close()
  const { started, confirmed } = readJournal(file())
  expect([...started]).toEqual([4, 5])
  expect([...confirmed]).toEqual([[5, { at: expect.any(Number), by: 'publisher-1.1' }]])
})

test('nothing was done where there is no file', () => {
  expect(readJournal(file())).toEqual({ started: new Set(), confirmed: new Map() })
})

test.each([1, 3, 7, 20, 30])(
  'a line that lost its last %d bytes says nothing, and does not spoil the next',
  (bytes) => {
    const journal = openJournal(file(), 'publisher-1.1')
    journal.confirmed(1)
    journal.close()
    const [, line = ''] = readFileSync(file(), 'latin1').split('\n')
    appendFileSync(file(), line.replace('c 1 ', 'c 22222222 ').slice(0, -bytes))
    const next = openJournal(file(), 'publisher-1.2')
    next.confirmed(3)
    next.close()
    expect([...readJournal(file()).confirmed.keys()]).toEqual([1, 3])
  },
)

test('of two confirmations the first counts', () => {
  for (const by of ['publisher-1.1', 'publisher-1.2']) {
    const journal = openJournal(file(), by)
    journal.confirmed(1)
    journal.close()
  }
  expect(readJournal(file()).confirmed.get(1)?.by).toBe('publisher-1.1')
})
