import { expect, test } from 'vitest'
import {
  deadLetterHeaders,
  failedOnce,
  foreignHeaders,
  FRESH,
  HEADER,
  type Progress,
  progressHeaders,
  readHeader,
  readProgress,
} from '../src/consume/progress.ts'
import { wire } from './fake.ts'

const full: Progress = {
  made: 3,
  delayMs: 1500,
  id: 'frozen',
  firstFailedAt: '2025-01-01T00:00:00.000Z',
  lastFailedAt: '2025-01-02T00:00:00.000Z',
  origin: 'things/0/7',
  replays: 2,
  line: 'polybus:m-1',
}

test('what is written is what is read', () => {
  expect(readProgress(wire({ headers: progressHeaders(full, undefined) }))).toEqual(full)
  expect(progressHeaders(FRESH, undefined)).toEqual([])
  const part = { ...FRESH, made: 1 }
  expect(readProgress(wire({ headers: progressHeaders(part, undefined) }))).toEqual(part)
})
test('messages without a header of ours share one object', () => {
  expect(readProgress(wire())).toBe(FRESH)
  expect(readProgress(wire({ headers: [['trace', 'x']] }))).toBe(FRESH)
})
test('nonsense in a header counts as nothing', () => {
  for (const text of ['-1', 'NaN', '1.5', '', 'Infinity', '99999999999999999999'])
    expect(
      readProgress(
        wire({
          headers: [
            [HEADER.attempt, text],
            [HEADER.delay, text],
            [HEADER.replays, text],
          ],
        }),
      ),
    ).toEqual(FRESH)
})
test('the last of several with one name counts; bytes are read as text', () => {
  expect(
    readHeader(
      [
        ['a', '1'],
        ['b', 'x'],
        ['a', Buffer.from('2')],
      ],
      'a',
    ),
  ).toBe('2')
  expect(readHeader([], 'a')).toBeUndefined()
})
test('a failure counts one attempt, and keeps the first time and the origin', () => {
  const once = failedOnce(FRESH, 't1', 'p1')
  expect(once).toMatchObject({ made: 1, firstFailedAt: 't1', lastFailedAt: 't1', origin: 'p1' })
  expect(failedOnce(once, 't2', 'p2')).toMatchObject({ made: 2, firstFailedAt: 't1', lastFailedAt: 't2', origin: 'p1' })
})
test('the id that was frozen first wins over the one of now', () => {
  expect(progressHeaders({ ...FRESH, id: 'first' }, 'second')).toEqual([[HEADER.id, 'first']])
  expect(progressHeaders(FRESH, 'second')).toEqual([[HEADER.id, 'second']])
})
test('a dead letter says why, without a delay, and its message has a limit', () => {
  const headers = deadLetterHeaders(full, undefined, 'non-retryable', new TypeError('x'.repeat(5000)))
  expect(readHeader(headers, HEADER.reason)).toBe('non-retryable')
  expect(readHeader(headers, HEADER.errorName)).toBe('TypeError')
  expect(readHeader(headers, HEADER.errorMessage)).toHaveLength(1001)
  expect(readHeader(headers, HEADER.delay)).toBeUndefined()
  expect(readHeader(headers, HEADER.attempt)).toBe('3')
})
test('secrets of an error do not reach the dead letters', () => {
  expect(
    readHeader(deadLetterHeaders(FRESH, undefined, 'x', new Error('amqp://me:hunter2@host')), HEADER.errorMessage),
  ).toBe('amqp://***@host')
})
test('foreign headers are all but ours, in order, twice named ones too', () => {
  const headers = [
    ['b', '1'],
    ['polybus-attempt', '3'],
    ['b', '2'],
    ['a', new Uint8Array([0])],
  ] as const
  expect(foreignHeaders(headers)).toEqual([
    ['b', '1'],
    ['b', '2'],
    ['a', new Uint8Array([0])],
  ])
})
