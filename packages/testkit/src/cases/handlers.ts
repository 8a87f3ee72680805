import assert from 'node:assert/strict'
import { fixed } from '@polybus/core'
import { all, type Case, holds, ordering } from '../case.ts'
import { gate } from '../wait.ts'

const thrown: Record<string, () => unknown> = {
  Error: () => new Error('error'),
  TypeError: () => new TypeError('type error'),
  string: () => 'a string',
  undefined: () => undefined,
  null: () => null,
  object: () => ({ message: 'plain' }),
  nasty: () => ({
    get message() {
      throw new Error('even its message throws')
    },
  }),
}

export const cases: readonly Case[] = [
  {
    id: '8a',
    title: 'whatever a handler throws, at once or late, the consumer lives and the policy applies',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 4,
          retry: { attempts: 2, backoff: fixed('5ms') },
          handler({ text = '', n }) {
            const value = thrown[text]
            if (!value) return undefined
            // Half of them late.
            if (n % 2 === 0) return env.clock.turn().then(() => Promise.reject(value() as Error))
            throw value()
          },
        }),
      )
      const bad = Object.keys(thrown).flatMap((text) => [
        env.item(undefined, { text, n: 1 }),
        env.item(undefined, { text, n: 2 }),
      ])
      await env.publishAll(bus, flow, bad)
      await env.publishAll(bus, flow, env.items(20))
      await env.handled(flow, 'work')
      for (const { id, text, n } of bad)
        assert.equal(env.runs(flow, 'work', id).length, 2, `${text} ${n % 2 ? 'at once' : 'late'}: two attempts`)
      assert.equal(env.ledger.handled(flow.name, 'work').length, 20)
      assert.equal(bus.health().status, 'up')
    },
  },
  {
    id: '8b',
    title: 'a handler that blocks the event loop past the lease: the consumer lives, nothing is lost',
    tier: 'fault',
    alone: true,
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const blockMs = Math.min(5000, env.timing.leaseMs * 1.5)
      let blocked = false
      await bus.start(
        env.consumer(flow, 'work', {
          handler() {
            if (blocked) return
            blocked = true
            const end = env.clock.now() + blockMs
            while (env.clock.now() < end);
          },
        }),
      )
      await env.publishAll(bus, flow, env.items(20))
      await env.handled(flow, 'work')
    },
  },
  {
    id: '8c',
    title: 'past its time-out the signal aborts at once, but slot and key stay taken until the promise settles',
    tier: 'plain',
    needs: all(ordering, holds),
    async run(env) {
      const flow = env.channel({ keyed: true, partitions: 1 })
      const bus = await env.bus()
      const open = gate()
      const [slow, sameKey, otherKey] = [env.item('k'), env.item('k'), env.item('other')]
      let aborted = false
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 1,
          timeout: '100ms',
          retry: { attempts: 2, backoff: fixed('5ms'), wait: 'held' },
          async handler({ id }, { signal, attempt }) {
            if (id !== slow.id || attempt > 1) return
            signal.addEventListener('abort', () => (aborted = true))
            await open.passed
          },
        }),
      )
      await env.publishAll(bus, flow, [slow, sameKey, otherKey], 1)
      await env.waitFor(() => aborted, 'the signal to abort', env.limit(2000))
      await env.waitFor(() => bus.health().status === 'degraded', 'health to say so')
      // Three more leases: it is still ours, and nothing else starts.
      const until = env.clock.now() + (env.plain.lease.ms === null ? 300 : Math.min(3000, 2 * env.plain.lease.ms))
      await env.waitFor(() => env.clock.now() > until || env.runs(flow, 'work').length > 1, '')
      assert.equal(env.runs(flow, 'work').length, 1, 'slot and key are taken')
      open.open()
      await env.handled(flow, 'work')
      assert.deepEqual(
        env.runs(flow, 'work', slow.id).map(({ attempt }) => attempt),
        [1, 2],
        'one retry',
      )
      await env.waitFor(() => bus.health().status === 'up', 'health to be up again')
    },
  },
]
