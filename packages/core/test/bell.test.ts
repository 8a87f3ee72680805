import { expect, test } from 'vitest'
import { createBell } from '../src/bell.ts'
import { manual } from './fake.ts'

test('a wait ends with the first of ring, time and signal, and leaves nothing behind', async () => {
  const time = manual()
  const bell = createBell(time.clock)
  const ended: string[] = []
  const wait = (name: string, signal = new AbortController().signal): void =>
    void bell.heard(100, signal).then(() => ended.push(name))
  bell.ring()
  wait('rung')
  await time.advance(50)
  expect(ended).toEqual([])
  bell.ring()
  await time.quiet()
  wait('late')
  await time.advance(99)
  expect(ended).toEqual(['rung'])
  await time.advance(1)
  const abort = new AbortController()
  wait('aborted', abort.signal)
  abort.abort()
  await time.quiet()
  wait('aborted before', abort.signal)
  await time.quiet()
  expect([ended, time.pending]).toEqual([['rung', 'late', 'aborted', 'aborted before'], false])
})
