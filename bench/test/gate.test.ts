import { expect, test } from 'vitest'
import { createGate } from '../src/gate.ts'

test('who waits is woken when so many are through, and not before', async () => {
  const gate = createGate()
  let woken = false
  const waiting = gate.reach(2).then(() => (woken = true))
  gate.pass()
  await Promise.resolve()
  expect(woken).toBe(false)
  gate.pass()
  await waiting
  expect(gate.count).toBe(2)
  await gate.reach(1)
})

test('a failure reaches who waits, and who comes later', async () => {
  const gate = createGate()
  const waiting = gate.reach(1)
  gate.fail(new Error('gone'))
  await expect(waiting).rejects.toThrow('gone')
  await expect(gate.reach(0)).rejects.toThrow('gone')
})
