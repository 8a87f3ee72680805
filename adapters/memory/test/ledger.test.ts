// Chance decides what happens, a ledger judges: nothing lost, nothing twice unless it was given back, no key overtaken.
import type { Delivery } from '@polybus/core'
import { describe, expect, test } from 'vitest'
import type { MemoryOptions } from '../src/index.ts'
import * as at from './support.ts'

const { call, keyed, manualClock, member, message, open, receive, settle, shared } = at

function chance(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

interface Holder extends at.Member {
  held: Delivery[]
}

async function run(seed: number, keys: boolean, options: MemoryOptions): Promise<void> {
  const random = chance(seed)
  const time = manualClock()
  const spec = keys ? keyed(['g']) : shared(['g'])
  const adapter = await open(spec, { clock: time.clock, retention: 50, maxBacklog: 100_000, ...options })
  const prefix = adapter.capabilities(spec).settlement === 'prefix'
  const handled = new Map<string, number>()
  const lastOfKey = new Map<string, number>()
  const firstDone = new Set<string>()
  const moved = new Set<string>()
  const holders: Holder[] = []
  let sent = 0

  const join = async (): Promise<void> => {
    const one = await member(adapter, spec, { maxInFlight: 20 })
    holders.push({ ...one, held: [] })
  }
  const forget = (holder: Holder): void => {
    const lost = new Set(holder.lost)
    holder.held = holder.held.filter((delivery) => !lost.has(delivery))
  }
  const done = (delivery: Delivery): void => {
    const { id = '', key = '' } = delivery.message
    handled.set(id, (handled.get(id) ?? 0) + 1)
    if (firstDone.has(id)) return
    firstDone.add(id)
    if (!keys || moved.has(id)) return
    expect(Number(id), `${id} of ${key}`).toBeGreaterThan(lastOfKey.get(key) ?? -1)
    lastOfKey.set(key, Number(id))
  }
  const step = async (): Promise<void> => {
    const holder = holders[random(holders.length)]
    const what = random(100)
    if (what < 25) {
      const batch = Array.from({ length: random(8) }, () => message(`${sent++}`, { key: `k${random(20)}` }))
      await at.send(adapter, ...batch)
    } else if (what < 60 && holder) {
      holder.held.push(...(await receive(holder, 1 + random(10))))
    } else if (what < 90 && holder) {
      forget(holder)
      // As core does: the first of each key, in any order of keys.
      const seen = new Set<string>()
      const ready = holder.held.filter(({ message: { key = '', id } }) => {
        if (!keys) return true
        const first = !seen.has(key) || moved.has(id ?? '')
        seen.add(key)
        return first
      })
      const some = ready.filter(() => random(2) === 0)
      const retried = random(6) === 0 ? some.splice(0, 1) : []
      for (const [index, result] of (await settle(holder, some)).entries()) if (result.ok) done(some[index]!)
      for (const delivery of retried) {
        const to = { kind: 'group', channel: 'orders', group: 'g', delayMs: random(500) } as const
        moved.add(delivery.message.id ?? '')
        await settle(holder, [delivery], { kind: 'move', to, headers: [] })
      }
      const gone = new Set([...some, ...retried])
      holder.held = holder.held.filter((delivery) => !gone.has(delivery))
    } else if (what < 93) time.advance(random(700))
    else if (what < 95) adapter.faults.loseLease(() => random(10) === 0)
    else if (what < 97 && holders.length < 5) await join()
    else if (holder && holders.length > 1) {
      if (random(2) === 0) await settle(holder, holder.held.toReversed(), { kind: 'release' })
      await holder.feed.close()
      holders.splice(holders.indexOf(holder), 1)
    }
    for (const one of holders) forget(one)
  }

  await join()
  for (let round = 0; round < 400; round++) await step()
  // The end: all that is left is handled.
  for (const holder of holders) await holder.feed.close()
  const last = await member(adapter, spec)
  for (let quiet = 0; quiet < 3;) {
    time.advance(1000)
    const rest = await receive(last, 50)
    quiet = rest.length === 0 ? quiet + 1 : 0
    for (const [index, result] of (await settle(last, rest)).entries()) if (result.ok) done(rest[index]!)
  }
  expect(firstDone.size).toBe(sent)
  if (!prefix) expect([...handled.values()].every((count) => count === 1)).toBe(true)
  const stats = await adapter.stats!.read(spec, 'g', call())
  expect(stats).toEqual({ backlog: 0, inFlight: 0, oldestAgeMs: 0, deadLetters: 0 })
  // Retention holds again, so no entry was left behind as unfinished.
  const history = await receive(await member(adapter, spec, { group: 'new' }), 1000)
  expect(history.length).toBe(Math.min(50, sent))
}

const seeds = Array.from({ length: 8 }, (_, index) => index + 1)
describe.each([
  ['single settlement, keyed', true, {}],
  ['single settlement, shared', false, {}],
  ['short leases, keyed', true, { leaseMs: 400 }],
  ['short leases, shared', false, { leaseMs: 400 }],
  ['prefix settlement, keyed', true, { abilities: { singleSettle: false } }],
  ['prefix settlement, shared', false, { abilities: { singleSettle: false } }],
  ['moves in two steps, keyed', true, { abilities: { atomicMove: false } }],
] as const)('memory: %s', (_name, keys, options) => {
  test.each(seeds)(`memory: ${_name}: the ledger is balanced, seed %i`, (seed) => run(seed, keys, options))
})
