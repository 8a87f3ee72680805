// Members in processes of their own, which are really killed.
import assert from 'node:assert/strict'
import { type Case, processes } from '../case.ts'
import { startChild } from '../child-protocol.ts'

export const cases: readonly Case[] = [
  {
    id: '13f',
    title: 'SIGTERM in a real process: it closes and ends by itself, and the rest is delivered elsewhere',
    tier: 'fault',
    needs: processes,
    async run(env) {
      const flow = env.channel()
      const publisher = await env.bus()
      const child = await startChild(env, flow, 'child', { role: 'consume', concurrency: 2, stuckAfter: 20 })
      await env.publishAll(publisher, flow, env.items(100))
      await env.waitFor(() => child.started > 20, 'the child to be in the middle')
      const start = env.clock.now()
      assert.equal(await child.kill('SIGTERM'), '0')
      assert.ok(env.clock.now() - start < 1000 + 2000, 'within its grace and a second, and the exit of a process')
      const other = await env.bus()
      await other.start(env.consumer(flow, 'work', { label: 'other' }))
      await env.handled(flow, 'work', env.timing.patienceMs + env.timing.leaseMs)
    },
  },
  {
    id: '20c',
    title: 'consumers killed with SIGKILL in the middle of handlers, again and again: nothing lost',
    tier: 'fault',
    needs: processes,
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const publisher = await env.bus()
      const kills = env.size(5, 50)
      await env.publishAll(publisher, flow, env.items(kills * 20, 20))
      for (let kill = 0; kill < kills; kill++) {
        const child = await startChild(env, flow, `child-${kill}`, { role: 'consume', concurrency: 4, stuckAfter: 8 })
        await env.waitFor(
          () => child.started > 8 || env.ledger.open(flow.name, 'work').length === 0,
          `victim ${kill} to be in the middle`,
          env.timing.patienceMs + 2 * env.timing.leaseMs,
        )
        assert.equal(await child.kill('SIGKILL'), 'SIGKILL')
      }
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { label: 'last' }))
      await env.handled(flow, 'work', env.timing.patienceMs + 2 * env.timing.leaseMs)
    },
  },
  {
    id: '21b',
    title: 'SIGKILL of a publisher in the middle of a burst: every publish that had resolved is on the broker',
    tier: 'fault',
    needs: processes,
    async run(env) {
      const flow = env.channel()
      const child = await startChild(env, flow, 'child', { role: 'publish', count: 5000, prefix: 'burst' })
      await env.waitFor(() => child.resolved > 50, 'the first publishes to resolve')
      assert.equal(await child.kill('SIGKILL'), 'SIGKILL')
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
    },
  },
]
