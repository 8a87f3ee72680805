// Order over dead letters: messages of a key wait in the store behind one that was dead-lettered.
import assert from 'node:assert/strict'
import { type Bus, type DeadLetter, fixed, type ParkedKey, PolybusError } from '@polybus/core'
import { all, browsing, type Case, foreign, leaveOut, ordering } from '../case.ts'
import type { Env, Handle, Item, ItemChannel } from '../env.ts'
import { gate, rejection } from '../wait.ts'
import { sorted } from './driver-tools.ts'
import { claimStore, type TestStore } from './stores.ts'

const parks = all(ordering, browsing)

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
const LONG_MS = 30_000

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

const failing = new Error('not yet')
const limitMs = { quick: 120_000, medium: 120_000 }

export const cases: readonly Case[] = [
  {
    id: '29a',
    title: 'behind a dead letter the later messages of its key wait, others flow; a replay handles all in order',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const bad = env.item('ann')
      const good = gate()
      await shop.member(({ id }) => (id === bad.id && !good.isOpen ? Promise.reject(failing) : undefined))
      const behind = [env.item('ann'), env.item('ann'), env.item('ann')]
      const others = env.items(6, 3)
      await shop.publish(bad, ...behind, ...others)
      const [letter] = await shop.dead(bad)
      await shop.waiting(3)
      const handled = (): readonly string[] => env.ledger.handled(shop.flow.name, 'work')
      await env.waitFor(() => handled().length === others.length, 'other keys to flow')
      assert.ok(!handled().includes(behind[0]?.id ?? ''))
      assert.deepEqual(await shop.parked(), [{ key: 'ann', head: bad.id, state: 'dead', waiting: 3 }])
      assert.equal(env.events.filter(({ kind }) => kind === 'parked').length, 3)
      assert.deepEqual(letter?.value, bad)
      good.open()
      assert.deepEqual(await shop.letters.replay({ ids: [bad.id] }), { done: 1, failed: 0 })
      await shop.inOrder(bad, ...behind, ...others)
      const after = [env.item('ann'), env.item('ann')]
      await shop.publish(...after)
      await shop.inOrder(...behind, ...after)
    },
  },
  {
    id: '29b',
    title: 'after a discard the ones behind go on in order; without the store it is refused, and the letter stays',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const bad = env.item('ann')
      await shop.member(({ id }) => (id === bad.id ? Promise.reject(failing) : undefined))
      const behind = [env.item('ann'), env.item('ann'), env.item('ann')]
      await shop.publish(bad, ...behind)
      await shop.dead(bad)
      await shop.waiting(3)
      await rejection(shop.desk.deadLetters(shop.flow, 'work').discard({}), 'UNSUPPORTED')
      await shop.dead(bad)
      env.ledger.excuse(shop.flow.name, 'work', { loss: true })
      assert.deepEqual(await shop.letters.discard({ ids: [bad.id] }), { done: 1, failed: 0 })
      await shop.inOrder(...behind)
      assert.ok(!env.ledger.handled(shop.flow.name, 'work').includes(bad.id))
    },
  },
  {
    id: '29c',
    title: 'one that fails after it was released stops its key again; all its attempts are its own',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const items = [env.item('ann'), env.item('ann'), env.item('ann'), env.item('ann')]
      const [first, , third] = items as [Item, Item, Item, Item]
      const bad = new Set([first.id, third.id])
      const bus = await env.bus()
      await bus.start(
        env.consumer(shop.flow, 'work', {
          ...IN_ORDER,
          retry: { attempts: 2, backoff: fixed('5ms') },
          idempotency: shop.store,
          handler: ({ id }) => (bad.has(id) ? Promise.reject(failing) : undefined),
        }),
      )
      await shop.publish(...items)
      await shop.dead(first)
      await shop.waiting(3)
      bad.delete(first.id)
      await shop.letters.replay({})
      const [letter] = await shop.dead(third)
      assert.equal(letter?.attempts, 2)
      await shop.waiting(1)
      await shop.letters.replay({})
      await env.waitFor(
        () => env.runs(shop.flow, 'work', third.id).length === 4,
        'the replayed one to fail once more',
        LONG_MS,
      )
      await shop.dead(third)
      await shop.waiting(1)
      bad.clear()
      await shop.letters.replay({})
      await shop.inOrder(...items)
    },
  },
  {
    id: '29d',
    title: 'what arrives while a key drains joins the tail',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const items = Array.from({ length: 4 }, () => env.item('ann'))
      const late = Array.from({ length: 4 }, () => env.item('ann'))
      const [bad, second] = items as [Item, Item]
      const good = gate()
      const step = gate()
      await shop.member(({ id }) => {
        if (id === bad.id && !good.isOpen) throw failing
        return id === second.id ? step.passed : undefined
      })
      await shop.publish(...items)
      await shop.dead(bad)
      await shop.waiting(3)
      good.open()
      await shop.letters.replay({})
      await env.waitFor(() => env.runs(shop.flow, 'work', second.id).length === 1, 'the second one to run', LONG_MS)
      await shop.publish(...late)
      const arrived = env.item('bob')
      await shop.publish(arrived)
      await env.waitFor(() => env.ledger.handled(shop.flow.name, 'work').includes(arrived.id), 'another key')
      assert.equal((await shop.parked())[0]?.state, 'sent')
      step.open()
      await shop.inOrder(...items, ...late)
    },
  },
  {
    id: '29e',
    title: 'members come and go while keys drain: each key in order, nothing twice, nothing left behind',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const items = env.items(env.size(24, 200), 6)
      const bad = new Set(items.slice(0, 6).map(({ id }) => id))
      const handler = ({ id }: Item): unknown => (bad.has(id) ? Promise.reject(failing) : env.clock.turn())
      const first = await shop.member(handler, 'a')
      const second = await shop.member(handler, 'b')
      await shop.publish(...items)
      await shop.dead(...items.slice(0, 6))
      await shop.waiting(items.length - 6)
      bad.clear()
      const replaying = shop.letters.replay({})
      await first.close()
      await shop.member(handler, 'c')
      await second.close()
      await shop.member(handler, 'd')
      assert.deepEqual(await replaying, { done: 6, failed: 0 })
      await shop.inOrder(...items)
    },
  },
  {
    id: '29f',
    title: 'an edited replay keeps its place; one that changes the key is refused, and its letter stays',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      await shop.member(({ text }) => (text === 'bad' ? Promise.reject(failing) : undefined))
      const items = [env.item('ann', { text: 'bad' }), env.item('ann'), env.item('ann')]
      const [bad] = items as [Item]
      await shop.publish(...items)
      await shop.dead(bad)
      await shop.waiting(2)
      const other = { edit: (): Item => ({ ...bad, key: 'bob', text: 'good' }) }
      assert.deepEqual(await shop.letters.replay({}, other), { done: 0, failed: 1 })
      await shop.dead(bad)
      assert.deepEqual(await shop.letters.replay({}, { edit: () => ({ ...bad, text: 'good' }) }), {
        done: 1,
        failed: 0,
      })
      await shop.inOrder(...items)
    },
  },
  {
    id: '29g',
    title: 'a key whose dead letter is gone goes on by hand, with the head from the store or without it',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const items = [env.item('ann'), env.item('ann'), env.item('bob'), env.item('bob')]
      const [ann, , bob] = items as [Item, Item, Item]
      const bad = new Set([ann.id, bob.id])
      await shop.member(({ id }) => (bad.has(id) ? Promise.reject(failing) : undefined))
      await shop.publish(...items)
      await shop.dead(ann, bob)
      await shop.waiting(2)
      bad.clear()
      env.ledger.excuse(shop.flow.name, 'work', { loss: true })
      // As by the broker's own tools: who removes it knows nothing of the line.
      const adapter = await env.connect(env.open())
      const session = await adapter.browse?.open(shop.flow['~definition'].spec, 'work', env.call)
      const found = (await session?.next(10, env.call)) ?? []
      await session?.remove(
        found.map(({ position }) => position),
        env.call,
      )
      await session?.close()
      await shop.dead()
      assert.equal(await shop.letters.unpark('nobody', { head: 'replay' }), false)
      assert.equal(await shop.letters.unpark('bob', { head: 'discard' }), true)
      assert.equal(await shop.letters.unpark('ann', { head: 'replay' }), true)
      await env.waitFor(async () => (await shop.parked()).length === 0, 'no line to be left', LONG_MS)
      const handled = env.ledger.handled(shop.flow.name, 'work')
      assert.deepEqual(sorted(handled), sorted([ann.id, items[1]?.id ?? '', items[3]?.id ?? '']))
    },
  },
  {
    id: '29h',
    title: 'a store that is away while messages are dead-lettered and parked: all waits, and the order holds',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const items = Array.from({ length: 5 }, () => env.item('ann'))
      const [bad] = items as [Item]
      const good = gate()
      await shop.member(({ id }) => {
        if (id !== bad.id || good.isOpen) return
        shop.store.down = true
        throw failing
      })
      await shop.publish(...items)
      await env.waitFor(() => shop.store.down, 'the store to be away')
      await env.waitFor(() => env.logged.some((text) => text.includes('idempotency store')), 'the trouble to be told')
      assert.equal(env.runs(shop.flow, 'work').length, 1)
      shop.store.down = false
      await shop.dead(bad)
      await shop.waiting(4)
      assert.equal(env.runs(shop.flow, 'work').length, 1, 'the store cost no attempt')
      good.open()
      await shop.letters.replay({})
      await shop.inOrder(...items)
    },
  },
  {
    id: '29i',
    title: 'what cannot be decoded keeps its place too, and a foreign message its id',
    tier: 'plain',
    limitMs,
    needs: all(parks, foreign),
    async run(env) {
      const shop = await open(env)
      const [bad, last] = [env.item('ann'), env.item('ann')] as [Item, Item]
      const good = gate()
      await shop.member(({ id }) => (id === bad.id && !good.isOpen ? Promise.reject(failing) : undefined))
      await shop.publish(bad)
      await shop.dead(bad)
      await env.foreign?.send(shop.flow.name, { key: 'ann', body: Buffer.from('{no json') })
      await env.waitFor(
        async () => {
          for await (const _ of shop.letters.list({ reason: 'undecodable' }))
            leaveOut('its foreign messages have no id to be known by')
          return (await shop.parked())[0]?.waiting === 1
        },
        'the foreign one to be parked',
        LONG_MS,
      )
      await shop.publish(last)
      await shop.waiting(2)
      good.open()
      await shop.letters.replay({})
      await shop.waiting(1)
      let letter: DeadLetter<unknown> | undefined
      await env.waitFor(
        async () => {
          for await (const one of shop.letters.list()) letter = one
          return letter?.reason === 'undecodable'
        },
        'the foreign one to be dead-lettered when its turn comes',
        LONG_MS,
      )
      assert.equal((await shop.parked())[0]?.head, letter?.id)
      assert.ok(!env.ledger.handled(shop.flow.name, 'work').includes(last.id))
      assert.deepEqual(await shop.letters.discard({ reason: 'undecodable' }), { done: 1, failed: 0 })
      await shop.inOrder(bad, last)
    },
  },
  {
    id: '29j',
    title: 'batch consumers keep the order too',
    tier: 'plain',
    limitMs,
    needs: parks,
    async run(env) {
      const shop = await open(env)
      const items = env.items(12, 3)
      const [bad] = items as [Item]
      const good = gate()
      const bus = await env.bus()
      env.ledger.expect(shop.flow.name, 'work', { once: true })
      await bus.subscribe(shop.flow, 'work', {
        ...IN_ORDER,
        idempotency: shop.store,
        batch: {
          max: 4,
          wait: '10ms',
          handler(batch) {
            for (const { value, message, attempt, fail } of batch) {
              const end = env.ledger.started(shop.flow.name, 'work', { id: message.id, attempt, consumer: 'a' })
              const fails = value.id === bad.id && !good.isOpen
              if (fails) fail(failing)
              end(fails)
            }
          },
        },
      })
      await shop.publish(...items)
      await shop.dead(bad)
      await shop.waiting(3)
      good.open()
      await shop.letters.replay({})
      await shop.inOrder(...items)
    },
  },
  {
    id: '29k',
    title: 'what it cannot do is refused, with the alternative',
    tier: 'plain',
    async run(env) {
      const bus = await env.bus()
      const store = claimStore(() => env.clock.now())
      const keyed = env.channel({ keyed: env.keyed.ordering })
      const refused = async (
        options: Parameters<typeof env.consumer>[2],
        text: RegExp,
        flow = keyed,
      ): Promise<void> => {
        const { message } = await rejection(bus.start(env.consumer(flow, 'work', options)), 'UNSUPPORTED')
        assert.match(message, text)
      }
      await refused({ ...IN_ORDER, idempotency: store }, /without a key.*deadLetter true/, env.channel())
      if (!env.keyed.ordering) return
      await refused(IN_ORDER, /store that can park.*pgStore/)
      const { parking: _, ...plain } = store
      await refused({ ...IN_ORDER, idempotency: plain }, /store that can park/)
      const process = { ...store, parking: { ...store.parking, durable: false } }
      if (env.keyed.persistent) await refused({ ...IN_ORDER, idempotency: process }, /memory.*outlives/)
      else await bus.start(env.consumer(keyed, 'work', { ...IN_ORDER, idempotency: process }))
      await refused(
        { ...IN_ORDER, idempotency: store, retry: { attempts: 2, wait: 'released' } },
        /released|longer than/,
        env.channel({ keyed: true }),
      )
      if (env.plain.transactional)
        await refused({ ...IN_ORDER, delivery: 'transactional' }, /delivery/, env.channel({ keyed: true }))
      assert.throws(
        () => env.consumer(keyed, 'work', { deadLetter: 'inorder' as 'in-order' }),
        (error) => PolybusError.is(error, 'INVALID_OPTION') && /in-order/.test(error.message),
      )
    },
  },
]
