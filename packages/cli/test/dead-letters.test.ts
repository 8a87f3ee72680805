// What the command needs of core: dead letters that are stopped, counted, edited and put back, and a bus that is examined.
import { type Adapter, PolybusError, type WireMessage } from '@polybus/core'
import { memory } from '@polybus/memory'
import { type Bus, connect } from 'polybus'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { count, ids, orders, put } from './rig.ts'

let bus: Bus
beforeEach(async () => {
  bus = await connect({ broker: memory(), logger: false })
})
afterEach(() => bus.close())

async function wiresOf(from: Bus): Promise<readonly WireMessage[]> {
  const wires: WireMessage[] = []
  for await (const { wire } of from.deadLetters(orders, 'charge').list()) wires.push(wire)
  return wires
}

test('a signal ends a replay between two letters: what was done is gone, the rest is there', async () => {
  await put(bus, 10)
  const stop = new AbortController()
  const seen: number[] = []
  const replay = bus.deadLetters(orders, 'charge').replay(
    {},
    {
      signal: stop.signal,
      progress({ done }) {
        seen.push(done)
        if (done === 4) stop.abort()
      },
    },
  )
  await expect(replay).rejects.toMatchObject({ code: 'ABORTED' })
  expect(seen).toEqual([1, 2, 3, 4])
  expect(await ids(bus)).toEqual(['m-4', 'm-5', 'm-6', 'm-7', 'm-8', 'm-9'])
  expect(await bus.stats(orders, 'charge')).toMatchObject({ backlog: 4, deadLetters: 6 })
})
test('a signal ends a look too', async () => {
  await put(bus, 3)
  const stop = new AbortController()
  const look = async (): Promise<void> => {
    for await (const _ of bus.deadLetters(orders, 'charge').list({}, { signal: stop.signal })) stop.abort()
  }
  await expect(look()).rejects.toMatchObject({ code: 'ABORTED' })
})
test('discard takes letters off a page at a time, and counts those that are not there', async () => {
  await put(bus, 250)
  const seen: number[] = []
  const acted = await bus.deadLetters(orders, 'charge').discard({}, { progress: ({ done }) => seen.push(done) })
  expect([acted, seen]).toEqual([{ done: 250, failed: 0 }, [100, 200, 250]])
  await put(bus, 2)
  expect(await bus.deadLetters(orders, 'charge').discard({ ids: ['m-1', 'm-9'] })).toEqual({ done: 1, failed: 1 })
})
test('an edit may take its time', async () => {
  await put(bus, 1)
  const edit = async () => Promise.resolve({ id: 'edited', customer: 'c', cents: 1 })
  await bus.deadLetters(orders, 'charge').replay({}, { edit })
  const got: string[] = []
  await bus.subscribe(orders, 'charge', ({ id }) => void got.push(id))
  await expect.poll(() => got).toEqual(['edited'])
})
test('letters are put back as they were', async () => {
  await put(bus, 3)
  const letters = bus.deadLetters(orders, 'charge')
  const wires = await wiresOf(bus)
  await letters.discard({})
  expect(await letters.restore(wires)).toEqual({ done: 3, failed: 0 })
  expect(await wiresOf(bus)).toEqual(wires)
})
test('a letter that the broker refuses is counted', async () => {
  await put(bus, 1)
  const wires = await wiresOf(bus)
  const refused = { ok: false, error: new PolybusError('BROKER_REFUSED', 'no', { sent: 'no' }) } as const
  const full: Adapter = { ...memory(), send: (batch) => Promise.resolve(batch.map(() => refused)) }
  const other = await connect({ broker: full, logger: false })
  expect(await other.deadLetters(orders, 'charge').restore(wires)).toEqual({ done: 0, failed: 1 })
  await other.close()
})
test('what cannot be read of the letters to restore ends it, and those before it are back', async () => {
  function* broken() {
    yield* wires
    throw new Error('line 4')
  }
  await put(bus, 3)
  const letters = bus.deadLetters(orders, 'charge')
  const wires = await wiresOf(bus)
  await expect(letters.restore(broken())).rejects.toThrow('line 4')
  expect(await count(bus)).toBe(6)
})

test('a channel is examined without being made, and prepared on demand', async () => {
  expect((await bus.inspect(orders)).missing.map(({ text }) => text)).toEqual([
    expect.stringContaining("'orders'"),
    expect.stringContaining("'charge'"),
    expect.stringContaining("'email'"),
  ])
  expect((await bus.inspect(orders)).missing).toHaveLength(3)
  await bus.prepare(orders)
  const { missing, conflicts, problems, capabilities } = await bus.inspect(orders)
  expect([missing, conflicts, problems]).toEqual([[], [], []])
  expect(capabilities.processes).toBe(false)
})
test('what may not be looked at is a problem of its own, and the rest is told', async () => {
  const denied = new PolybusError('ACCESS_DENIED', 'no')
  const half: Adapter = { ...memory(), hazards: () => Promise.reject(denied) }
  const other = await connect({ broker: half, logger: false })
  expect(await other.inspect(orders)).toMatchObject({ missing: [{}, {}, {}], hazards: [], problems: [denied] })
  await other.close()
})
