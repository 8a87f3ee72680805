// Order over dead letters, where a store is away, a body cannot be read, or several come at once.
import assert from 'node:assert/strict'
import { type DeadLetter, PolybusError } from '@polybus/core'
import { all, type Case, foreign, leaveOut } from '../case.ts'
import type { Item } from '../env.ts'
import { gate, rejection } from '../wait.ts'
import { failing, IN_ORDER, limitMs, LONG_MS, open, parks } from './parked-shop.ts'
import { claimStore } from './stores.ts'

export const cases: readonly Case[] = [
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
