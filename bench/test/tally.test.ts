import { expect, test } from 'vitest'
import { purchasesOf } from '../src/purchases.ts'
import { createTally } from '../src/tally.ts'

const make = purchasesOf(256)

test('a tally ends when each message was seen once', async () => {
  const tally = createTally(3)
  tally.start()
  for (const index of [2, 0, 1]) tally.seen(make(index))
  expect((await tally.done).messages).toBe(3)
})

test('a message that comes twice fails the run, and so does one that was never sent', async () => {
  const twice = createTally(2)
  twice.seen(make(0))
  twice.seen(make(0))
  await expect(twice.done).rejects.toThrow('o-1000000 came twice')
  const foreign = createTally(2)
  foreign.seen(make(7))
  await expect(foreign.done).rejects.toThrow('o-1000007 came twice, or was never sent')
})

test.each([256, 4096])('the JSON of every purchase has %d bytes', (bytes) => {
  for (const index of [0, 1, 999, 8999, 123_456, 999_999])
    expect(Buffer.byteLength(JSON.stringify(purchasesOf(bytes)(index)))).toBe(bytes)
})
