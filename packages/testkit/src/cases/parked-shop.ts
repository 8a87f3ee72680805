// What the cases of order over dead letters share: a keyed channel, its consumers and their store.
import assert from 'node:assert/strict'
import { type Bus, type DeadLetter, type ParkedKey } from '@polybus/core'
import { all, browsing, type Need, ordering } from '../case.ts'
import type { Env, Handle, Item, ItemChannel } from '../env.ts'
import { claimStore, type TestStore } from './stores.ts'

export const parks: Need = all(ordering, browsing)

export const IN_ORDER = { deadLetter: 'in-order', retry: false } as const

export interface Shop {
  readonly flow: ItemChannel
  readonly store: TestStore
  /** Publishes, and looks after dead letters. */
  readonly desk: Bus
  readonly letters: ReturnType<Bus['deadLetters']>
  publish(...items: readonly Item[]): Promise<void>
  member(handler?: Handle<Item>, label?: string): Promise<Bus>
  /** Until these are in the dead letters, and no others. */
  dead(...items: readonly Item[]): Promise<readonly DeadLetter<unknown>[]>
  parked(): Promise<readonly ParkedKey[]>
  /** Until so many wait behind a dead letter or one that was released. */
  waiting(count: number): Promise<void>
  /** All were handled, each once, those of a key in the order of their publishing; no line and no dead letter is left. */
  inOrder(...items: readonly Item[]): Promise<void>
}

/** A ladder delivers what is released one by one, a second each. */
export const LONG_MS = 30_000

export async function open(env: Env, flow: ItemChannel = env.channel({ keyed: true })): Promise<Shop> {
  const store = claimStore(() => env.clock.now(), 1000)
  const desk = await env.bus()
  const letters = desk.deadLetters(flow, 'work', { store }) as Shop['letters']
  const ids = (items: readonly Item[]): readonly string[] => items.map(({ id }) => id)
  const parked = async (): Promise<readonly ParkedKey[]> => {
    const keys: ParkedKey[] = []
    for await (const key of letters.parked()) keys.push(key)
    return keys
  }
  const dead = async (...items: readonly Item[]): Promise<readonly DeadLetter<unknown>[]> => {
    let found: DeadLetter<unknown>[] = []
    await env.waitFor(
      async () => {
        found = []
        for await (const letter of letters.list()) found.push(letter)
        // A kill between the halves of a move leaves two with one id.
        const unique = new Set(found.map(({ id }) => id))
        return unique.size === items.length && ids(items).every((id) => unique.has(id))
      },
      () => `${ids(items).join()} in the dead letters; there are ${found.map(({ id }) => id).join()}`,
      LONG_MS + 2 * env.timing.leaseMs,
    )
    return found
  }
  return {
    flow,
    store,
    desk,
    letters,
    parked,
    dead,
    async publish(...items) {
      for (const item of items) await env.publish(desk, flow, item)
    },
    async member(handler, label = 'a') {
      const bus = await env.bus()
      const policy = { ...IN_ORDER, idempotency: store, concurrency: 8, label }
      await bus.start(env.consumer(flow, 'work', handler ? { ...policy, handler } : policy))
      return bus
    },
    async waiting(count) {
      let seen = 0
      await env.waitFor(
        async () => (seen = (await parked()).reduce((sum, { waiting }) => sum + waiting, 0)) === count,
        () => `${count} parked messages; there are ${seen}`,
        LONG_MS + 2 * env.timing.leaseMs,
      )
    },
    async inOrder(...items) {
      const handled = (): readonly string[] => env.ledger.handled(flow.name, 'work')
      await env.waitFor(
        () => ids(items).every((id) => handled().includes(id)),
        () =>
          `all to be handled; missing: ${ids(items)
            .filter((id) => !handled().includes(id))
            .join()}`,
        LONG_MS + 2 * env.timing.leaseMs,
      )
      for (const key of new Set(items.map((item) => item.key))) {
        const wanted = ids(items.filter((item) => item.key === key))
        assert.deepEqual(
          handled().filter((id) => wanted.includes(id)),
          wanted,
          `the order of key ${key}`,
        )
      }
      const successes = env.runs(flow, 'work').filter(({ outcome }) => outcome === 'success')
      assert.equal(successes.length, new Set(successes.map(({ id }) => id)).size, 'no effect happened twice')
      await env.waitFor(async () => (await parked()).length === 0, 'no line to be left')
      await dead()
    },
  }
}

export const failing: Error = new Error('not yet')
export const limitMs = { quick: 120_000, medium: 120_000 }
