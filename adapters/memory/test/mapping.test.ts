import { expect, test } from 'vitest'
import { foreignId, parsePosition, partitionOf, size, withCoreHeaders } from '../src/mapping.ts'
import { message } from './support.ts'

test('memory: size counts body, key, headers and attributes', () => {
  const bare = { source: undefined, type: undefined, time: undefined, contentType: undefined }
  expect(size(message(undefined, { ...bare, body: null }))).toBe(0)
  expect(size(message('1234', { ...bare, body: new Uint8Array(10) }))).toBe(14)
  const headers = [
    ['ab', 'cde'],
    ['f', new Uint8Array(7)],
  ] as const
  expect(size(message(undefined, { ...bare, body: null, key: 'kk', headers }))).toBe(2 + 5 + 8)
  expect(size(message(undefined, { ...bare, body: null, time: 5, correlationId: 'c', causationId: 'ca' }))).toBe(11)
})

test('memory: a copy has exactly the polybus headers it is given, and all others in their order', () => {
  const body = new Uint8Array([0, 255])
  const original = message('1', {
    body,
    headers: [
      ['a', '1'],
      ['polybus-attempt', '1'],
      ['a', ''],
      ['b', new Uint8Array([9])],
    ],
  })
  const copy = withCoreHeaders(original, [['polybus-reason', 'x']])
  expect(copy).toEqual({
    ...original,
    headers: [
      ['a', '1'],
      ['a', ''],
      ['b', new Uint8Array([9])],
      ['polybus-reason', 'x'],
    ],
  })
  expect(copy.body).toBe(body)
})

test('memory: keys are spread over the partitions, and a key stays on its own', () => {
  const counts = Array.from({ length: 8 }, () => 0)
  for (let index = 0; index < 8000; index++) counts[partitionOf(`customer-${index}`, 8)]!++
  expect(Math.min(...counts)).toBeGreaterThan(800)
  expect(partitionOf('ключ-🔑', 8)).toBe(partitionOf('ключ-🔑', 8))
})

test('memory: positions are read back; those of retries and dead letters are none of the log', () => {
  expect(parsePosition('3/17')).toEqual({ partition: 3, offset: 17 })
  for (const text of ['r/1', 'd/1', '3', '', '3/', '-1/2', '1/2/3']) expect(parsePosition(text)).toBeUndefined()
  expect(foreignId('orders', '3/17')).toBe('orders/3/17')
})
