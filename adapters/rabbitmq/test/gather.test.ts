import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { gatherWrites } from '../src/gather.ts'

/** Which pieces left with one call. */
function watched(highWaterMark?: number): { readonly stream: Writable; readonly calls: string[][] } {
  const calls: string[][] = []
  const stream = new Writable({
    ...(highWaterMark !== undefined && { highWaterMark }),
    decodeStrings: false,
    writev(chunks, done) {
      calls.push(chunks.map(({ chunk }) => String(chunk)))
      done()
    },
  })
  gatherWrites(stream)
  return { stream, calls }
}
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('rabbitmq: what is written in one go leaves in one, in order, and each go by itself', async () => {
  const { stream, calls } = watched()
  for (const text of ['a', 'b', 'c']) stream.write(text)
  expect(calls).toEqual([])
  await soon()
  stream.write('d')
  await soon()
  expect(calls).toEqual([['a', 'b', 'c'], ['d']])
})

test('rabbitmq: what was gathered leaves before a socket ends, and callbacks are called', async () => {
  const { stream, calls } = watched()
  const told: string[] = []
  stream.write('a', () => told.push('a'))
  stream.write('b', 'utf8', () => told.push('b'))
  stream.end('c')
  await soon()
  expect(calls).toEqual([['a', 'b', 'c']])
  expect(told).toEqual(['a', 'b'])
  expect(stream.writableFinished).toBe(true)
})

test('rabbitmq: a full buffer is told, and drains', async () => {
  const { stream, calls } = watched(2)
  let drained = 0
  stream.on('drain', () => drained++)
  expect(stream.write('a')).toBe(true)
  expect(stream.write('b')).toBe(false)
  await soon()
  expect({ calls, drained }).toEqual({ calls: [['a', 'b']], drained: 1 })
})
