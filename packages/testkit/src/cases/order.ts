import assert from 'node:assert/strict'
import { fixed, PolybusError } from '@polybus/core'
import { all, able, type Case, faults, ordering } from '../case.ts'
import type { Env } from '../env.ts'
import { gate } from '../wait.ts'

/** What may happen to deliveries while their keys are held. */
const disturbances: readonly {
  id: string
  what: string
  needs: NonNullable<Case['needs']>
  disturb(env: Env, join: () => Promise<void>): unknown
}[] = [
  {
    id: '4h',
    what: 'its deliveries are lost',
    needs: all(
      faults('loseLease'),
      able('lease that runs out', ({ keyed }) => keyed.lease.ms !== null),
    ),
    disturb: (env) => env.faults.loseLease?.(),
  },
  { id: '4i', what: 'the connection is cut', needs: faults('cut'), disturb: (env) => env.faults.cut?.() },
  { id: '4j', what: 'its lane moves to another member', needs: () => undefined, disturb: (_, join) => join() },
]

export const cases: readonly Case[] = [
  {
    id: '4a',
    title: 'same key, same order, one at a time, with concurrency 32 and many keys',
    tier: 'plain',
    needs: ordering,
    async run(env) {
      const flow = env.channel({ keyed: true })
      const bus = await env.bus()
      const running = new Map<string, number>()
      let overlaps = 0
      let widest = 0
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 32,
          async handler({ key = '' }) {
            const now = (running.get(key) ?? 0) + 1
            if (now > 1) overlaps++
            running.set(key, now)
            widest = Math.max(widest, [...running.values()].filter((count) => count > 0).length)
            await Promise.resolve()
            await env.clock.turn()
            running.set(key, (running.get(key) ?? 1) - 1)
          },
        }),
      )
      await env.publishAll(bus, flow, env.items(env.size(1500, 10_000), env.size(150, 1000)))
      await env.handled(flow, 'work')
      assert.equal(overlaps, 0, 'no two of one key at a time')
      assert.ok(widest > 1 && widest <= 32, `keys ran side by side: ${widest}`)
      assert.equal(env.runs(flow, 'work').length, env.size(1500, 10_000))
    },
  },
  {
    id: '4b',
    title: 'the order of publish calls holds when entries of a batch fail and are sent again',
    tier: 'fault',
    settles: true,
    needs: all(ordering, faults('refuse')),
    async run(env) {
      const flow = env.channel({ keyed: true })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { concurrency: 32 }))
      let refused = 0
      // Every seventh entry fails once; the broker writes its neighbours.
      const failedOnce = new Set<string>()
      const undo = await env.faults.refuse?.(({ message }) => {
        const id = message.id ?? ''
        const n = Number(id.split('-')[1])
        if (n % 7 !== 0 || failedOnce.has(id)) return undefined
        failedOnce.add(id)
        refused++
        return new PolybusError('BROKER_BUSY')
      })
      const publishing: Promise<unknown>[] = []
      for (const [index, item] of env.items(300, 10).entries()) {
        publishing.push(env.publish(bus, flow, item))
        // Some leave, and others come while they are on their way.
        if (index % 20 === 0) for (let tick = 0; tick < 5; tick++) await Promise.resolve()
        if (index % 100 === 0) await env.clock.turn()
      }
      await Promise.all(publishing)
      await undo?.()
      await env.handled(flow, 'work')
      assert.ok(refused > 20, 'entries were refused')
    },
  },
  {
    id: '4c',
    title: 'a failing key waits in its place while other keys flow',
    tier: 'plain',
    needs: ordering,
    async run(env) {
      const flow = env.channel({ keyed: true, partitions: 1 })
      const bus = await env.bus()
      const items = [env.item('bad'), env.item('bad'), env.item('good'), env.item('bad'), env.item('good')]
      const [head] = items
      const open = gate()
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 4,
          // A broker may bound how long all attempts together hold a message.
          timeout: '1s',
          retry: { attempts: 1000, backoff: fixed('20ms'), wait: 'held' },
          handler({ id }) {
            if (id === head?.id && !open.isOpen) throw new Error('not yet')
          },
        }),
      )
      await env.publishAll(bus, flow, items, 1)
      const good = items.filter(({ key }) => key === 'good').map(({ id }) => id)
      await env.waitFor(
        () => good.every((id) => env.ledger.handled(flow.name, 'work').includes(id)),
        'the good key to flow',
      )
      await env.waitFor(() => env.runs(flow, 'work', head?.id).length > 2, 'the bad key to be tried again')
      const bad = items.filter(({ key }) => key === 'bad').slice(1)
      assert.deepEqual(
        bad.flatMap(({ id }) => env.runs(flow, 'work', id)),
        [],
        'nothing of the bad key overtakes',
      )
      open.open()
      await env.handled(flow, 'work')
    },
  },
  {
    id: '4d',
    title: 'released mode lets a failing message be overtaken by its key, or is refused',
    tier: 'plain',
    needs: ordering,
    async run(env) {
      const flow = env.channel({ keyed: true, partitions: 1 })
      const bus = await env.bus()
      const [first, second] = [env.item('k'), env.item('k')]
      env.ledger.excuse(flow.name, 'work', { order: true })
      const consumer = env.consumer(flow, 'work', {
        retry: { attempts: 3, backoff: fixed('1s'), wait: 'released' },
        handler({ id }, { attempt }) {
          if (id === first.id && attempt === 1) throw new Error('later')
        },
      })
      try {
        await bus.start(consumer)
      } catch (error) {
        if (!PolybusError.is(error, 'UNSUPPORTED')) throw error
        assert.equal(env.keyed.delay.kind, 'none', 'it is only refused where the broker keeps no delay')
        return
      }
      await env.publishAll(bus, flow, [first, second], 1)
      await env.handled(flow, 'work')
      assert.deepEqual(env.ledger.handled(flow.name, 'work'), [second.id, first.id])
    },
  },
  {
    id: '4e',
    title: 'keys of one lane run side by side: a slow key does not hold another',
    tier: 'plain',
    needs: ordering,
    async run(env) {
      const flow = env.channel({ keyed: true, partitions: 1 })
      const bus = await env.bus()
      const open = gate()
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 2,
          handler: async ({ key }) => (key === 'slow' ? open.passed : undefined),
        }),
      )
      const slow = env.item('slow')
      const fast = [env.item('fast'), env.item('fast'), env.item('other')]
      await env.publishAll(bus, flow, [slow, ...fast], 1)
      await env.waitFor(
        () => fast.every(({ id }) => env.ledger.handled(flow.name, 'work').includes(id)),
        'the other keys',
      )
      open.open()
      await env.handled(flow, 'work')
    },
  },
  {
    id: '4f',
    title: 'order holds while members come and go and messages fail',
    tier: 'plain',
    needs: ordering,
    async run(env) {
      const flow = env.channel({ keyed: true })
      const publisher = await env.bus()
      const member = async (label: string): Promise<{ close(): Promise<void> }> => {
        const bus = await env.bus()
        await bus.start(
          env.consumer(flow, 'work', {
            label,
            concurrency: 16,
            retry: { attempts: 20, backoff: fixed('10ms') },
            handler({ n }, { attempt }) {
              if (n % 13 === 0 && attempt < 3) throw new Error('again')
            },
          }),
        )
        return bus
      }
      await member('a')
      const items = env.items(400, 20)
      const publishing = env.publishAll(publisher, flow, items)
      const b = await member('b')
      await env.waitFor(() => env.ledger.handled(flow.name, 'work').length > 50, 'some to be handled')
      await b.close()
      await member('c')
      await publishing
      await env.handled(flow, 'work')
    },
  },
  {
    id: '4g',
    title: 'messages without a key on a keyed channel flow freely',
    tier: 'plain',
    needs: able('ordering', ({ keyed }) => keyed.ordering),
    async run(env) {
      const flow = env.channel({ keyed: true, partitions: 1 })
      const bus = await env.bus()
      const open = gate()
      const [blocked, ...rest] = [env.item(), env.item(), env.item()]
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 2,
          handler: async ({ id }) => (id === blocked?.id ? open.passed : undefined),
        }),
      )
      if (blocked) await env.publish(bus, flow, blocked)
      await env.publishAll(bus, flow, rest)
      await env.waitFor(() => rest.every(({ id }) => env.ledger.handled(flow.name, 'work').includes(id)), 'the others')
      open.open()
      await env.handled(flow, 'work')
    },
  },
  ...disturbances.map(({ id, what, needs, disturb }): Case => {
    return {
      id,
      title: `a held key is not overtaken when ${what}`,
      tier: 'fault',
      settles: true,
      needs: all(ordering, needs),
      async run(env) {
        const flow = env.channel({ keyed: true, partitions: 2 })
        const open = gate()
        const start = async (label: string): Promise<void> => {
          const bus = await env.bus()
          await bus.start(
            env.consumer(flow, 'work', {
              label,
              timeout: '1s',
              retry: { attempts: 1000, backoff: fixed('150ms'), wait: 'held' },
              // The first message of each key holds it.
              handler: ({ n }) => (n <= 6 && !open.isOpen ? Promise.reject(new Error('not yet')) : undefined),
            }),
          )
        }
        await start('a')
        const publisher = await env.bus()
        await env.publishAll(publisher, flow, env.items(60, 6), 60)
        await env.waitFor(
          () => env.runs(flow, 'work').filter(({ outcome }) => outcome === 'failure').length >= 6,
          'all keys to be held',
        )
        for (const label of ['b', 'c']) {
          const before = env.runs(flow, 'work').length
          await disturb(env, () => start(label))
          await env.waitFor(() => env.runs(flow, 'work').length > before + 6, 'the next attempts')
        }
        assert.deepEqual(env.ledger.handled(flow.name, 'work'), [], 'nothing overtakes')
        open.open()
        await env.handled(flow, 'work')
      },
    }
  }),
]
