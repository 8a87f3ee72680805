import { describe, expect, test } from 'vitest'
import type { Selection } from '../src/api.ts'
import { createDecode } from '../src/consume/decode.ts'
import { HEADER } from '../src/consume/progress.ts'
import { matches, readLetter as read, replayed } from '../src/dead-letter/letter.ts'
import { channel, json, PolybusError, trust } from '../src/index.ts'
import { EPOCH, wire } from './fake.ts'

const decode = createDecode(channel('things', { schema: trust() })['~definition'])
const readLetter = async (raw: Parameters<typeof read>[0], by = decode) => (await read(raw, by)).letter
const dead = wire({
  id: 'm-1',
  key: 'k',
  headers: [
    ['trace', 't'],
    [HEADER.attempt, '5'],
    [HEADER.reason, 'attempts-exhausted'],
    [HEADER.errorName, 'Declined'],
    [HEADER.errorMessage, 'no money'],
    [HEADER.firstFailed, '2025-01-01T00:00:00.000Z'],
    [HEADER.lastFailed, '2025-01-02T00:00:00.000Z'],
    [HEADER.origin, 'things/0/7'],
    [HEADER.replays, '1'],
  ],
  body: Buffer.from('{"id":"x"}'),
})

test('a dead letter as people see it', async () => {
  const letter = await readLetter({ position: 'd-1', message: dead }, decode)
  expect(letter).toMatchObject({
    id: 'm-1',
    value: { id: 'x' },
    reason: 'attempts-exhausted',
    error: { name: 'Declined', message: 'no money' },
    attempts: 5,
  })
  expect([letter.firstFailedAt, letter.lastFailedAt]).toEqual([new Date('2025-01-01'), new Date('2025-01-02')])
  expect(letter.message.position).toBe('things/0/7')
  expect(letter.message.headers).toEqual({ trace: 't' })
})
test('what the broker put there itself has its reason, and what cannot be read has no value', async () => {
  const letter = await readLetter({ position: 'd-1', message: wire({ id: undefined, body: Buffer.from('{') }) }, decode)
  expect(letter).toMatchObject({
    id: 'd-1',
    value: undefined,
    reason: 'broker',
    attempts: 0,
    error: { name: '', message: '' },
    lastFailedAt: new Date(EPOCH),
  })
})
test('what cannot be read just now says so: its value is not undefined for good', async () => {
  const away = new PolybusError('REGISTRY_UNAVAILABLE')
  const codec = { ...json, decode: () => Promise.reject(away) }
  const later = createDecode(channel('things', { schema: trust(), codec })['~definition'])
  expect((await read({ position: 'd-1', message: dead }, later)).unread).toBe(away)
  expect((await read({ position: 'd-1', message: dead }, decode)).unread).toBeUndefined()
})
test('dates that are nonsense fall back to the message', async () => {
  const letter = await readLetter(
    { position: 'd', message: wire({ headers: [[HEADER.lastFailed, 'yesterday']] }) },
    decode,
  )
  expect(letter.lastFailedAt).toEqual(new Date(EPOCH))
})

test('a letter is kept as it is; a foreign one also keeps the id that its position gave it', async () => {
  expect((await readLetter({ position: 'd-1', message: dead }, decode)).wire).toBe(dead)
  const foreign = wire({ id: 'topic/0/7', source: undefined, body: Buffer.from('{}') })
  const kept = (await readLetter({ position: 'd-1', message: foreign }, decode)).wire
  expect(kept.headers).toEqual([...foreign.headers, [HEADER.id, 'topic/0/7']])
  const elsewhere = await readLetter({ position: 'd-9', message: { ...kept, id: 'topic/0/99' } }, decode)
  expect([elsewhere.id, elsewhere.wire]).toEqual(['topic/0/7', { ...kept, id: 'topic/0/99' }])
})

describe('selection', () => {
  const table: [Selection, boolean][] = [
    [{}, true],
    [{ ids: ['a', 'm-1'] }, true],
    [{ ids: [] }, false],
    [{ reason: 'attempts-exhausted' }, true],
    [{ reason: 'invalid' }, false],
    [{ errorName: 'Declined', key: 'k' }, true],
    [{ errorName: 'Declined', key: 'other' }, false],
    [{ errorName: 'declined' }, false],
    [{ since: new Date('2025-01-02') }, true],
    [{ since: new Date('2025-01-02T00:00:00.001Z') }, false],
    [{ until: new Date('2025-01-02') }, true],
    [{ until: new Date('2025-01-01T23:59:59.999Z') }, false],
  ]
  for (const [selection, expected] of table)
    test(`selects ${JSON.stringify(selection)}`, async () =>
      expect(matches(await readLetter({ position: 'd', message: dead }, decode), selection)).toBe(expected))
})

describe('replayed', () => {
  test('the same message with a new count of attempts, and one replay more', () => {
    const back = replayed(dead)
    expect(back).toEqual({
      ...dead,
      headers: [
        ['trace', 't'],
        [HEADER.replays, '2'],
        [HEADER.origin, 'things/0/7'],
      ],
    })
  })
  test('headers are identical after two rounds', () => {
    const twice = replayed(replayed(dead))
    expect(twice.headers).toEqual([
      ['trace', 't'],
      [HEADER.replays, '3'],
      [HEADER.origin, 'things/0/7'],
    ])
  })
  test('a foreign message keeps the id that it was given', () => {
    const foreign = wire({ id: 'pos-7', source: undefined })
    expect(replayed(foreign).headers).toContainEqual([HEADER.id, 'pos-7'])
    expect(replayed({ ...foreign, headers: [[HEADER.id, 'frozen']] }).headers).toContainEqual([HEADER.id, 'frozen'])
  })
})
