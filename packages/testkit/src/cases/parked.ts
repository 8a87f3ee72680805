// Order over dead letters: messages of a key wait in the store behind one that was dead-lettered.
import assert from 'node:assert/strict'
import { fixed } from '@polybus/core'
import type { Case } from '../case.ts'
import type { Item } from '../env.ts'
import { gate, rejection } from '../wait.ts'
import { sorted } from './driver-tools.ts'
import { failing, IN_ORDER, limitMs, LONG_MS, open, parks } from './parked-shop.ts'

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
]
