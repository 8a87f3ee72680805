import assert from 'node:assert/strict'
import { fixed } from '@polybus/core'
import { able, all, browsing, type Case, holds } from '../case.ts'
import { block, blocking } from './outage.ts'
import { releasedMs } from './retry.ts'
import { claimStore } from './stores.ts'

/**
 * Does something between two tries: what a broker confirms while its queue is replaced may be gone, as on RabbitMQ, where
 * what is on its way to a queue that is deleted is confirmed.
 */
function betweenTries(): { settling(): Promise<void>; run(work: () => Promise<void>): Promise<void> } {
  let next: (() => Promise<void>) | undefined
  return {
    async settling() {
      const work = next
      next = undefined
      await work?.()
    },
    run: (work) =>
      new Promise((resolve, reject) => {
        next = () => work().then(resolve, reject)
      }),
  }
}

export const cases: readonly Case[] = [
  {
    id: '22a',
    title:
      'the dead-letter copy cannot be written: the source is not settled, health says so; later there is one dead letter with the original id',
    tier: 'fault',
    settles: true,
    needs: all(blocking, browsing),
    async run(env) {
      const flow = env.channel()
      let tries = 0
      const between = betweenTries()
      const bus = await env.bus({
        watcher: {
          settling: between.settling,
          settled: (_, __, { kind }, result) => void (kind === 'move' && !result?.ok && tries++),
          sent: ({ to }, result) => void (to.kind === 'dead-letter' && !result?.ok && tries++),
        },
      })
      // So that everything is there that can be blocked.
      await env.publish(bus, flow, env.item(undefined, { n: 0 }))
      const undo = await block(env, 'dead-letter', flow.name)
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 2, backoff: fixed('5ms') },
          handler: ({ n }) => (n > 0 ? Promise.reject(new Error('no')) : undefined),
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.waitFor(() => tries >= 2, 'the copy to be tried again')
      await env.waitFor(
        () => bus.health().status === 'degraded',
        () => `health to say so: ${JSON.stringify(bus.health())}`,
      )
      // Longer than its lease, where that can be renewed.
      const { lease } = env.plain
      const until = env.clock.now() + (lease.ms !== null && lease.renewable ? Math.min(1.6 * lease.ms, 10_000) : 0)
      await env.waitFor(() => env.clock.now() >= until, 'a while', 20_000)
      assert.ok(tries < 200, 'with a backoff')
      if (env.plain.stats.inFlight)
        assert.equal((await bus.stats(flow, 'work')).inFlight, 1, 'the source is still ours')
      await between.run(undo)
      const ids: string[] = []
      await env.waitFor(async () => {
        ids.length = 0
        for await (const { id, attempts } of bus.deadLetters(flow, 'work').list()) ids.push(`${id} ${attempts}`)
        return ids.length > 0
      }, 'the dead letter')
      assert.deepEqual(ids, [`${item.id} 2`])
      await env.waitFor(() => bus.health().status === 'up', 'health to be up again')
      assert.equal(env.runs(flow, 'work', item.id).length, 2, 'the handler did not run again for it')
    },
  },
  {
    id: '22b',
    title: 'the retry copy cannot be written: the source is not settled, and no attempt is lost',
    tier: 'fault',
    settles: true,
    needs: all(
      blocking,
      able('delay', ({ plain }) => plain.delay.kind !== 'none'),
    ),
    async run(env) {
      const flow = env.channel()
      let tries = 0
      const between = betweenTries()
      const bus = await env.bus({
        watcher: {
          settling: between.settling,
          settled: (_, __, { kind }, result) => void (kind === 'move' && !result?.ok && tries++),
          sent: ({ to }, result) => void (to.kind === 'group' && !result?.ok && tries++),
        },
      })
      await env.publish(bus, flow, env.item(undefined, { n: 0 }))
      const undo = await block(env, 'group', flow.name)
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 3, backoff: fixed(`${Math.max(1000, releasedMs(env))}ms`), wait: 'released' },
          handler: ({ n }, { attempt }) => (n > 0 && attempt === 1 ? Promise.reject(new Error('once')) : undefined),
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.waitFor(() => tries >= 2, 'the copy to be tried again')
      await between.run(undo)
      await env.handled(flow, 'work')
      const attempts = env.runs(flow, 'work', item.id).map(({ attempt }) => attempt)
      // A lease that this process was too late to renew gives the message out anew, with its old count: 22a proves that it is renewed.
      if (env.events.some(({ kind }) => kind === 'lost')) assert.equal(attempts.at(-1), 2)
      else assert.deepEqual(attempts, [1, 2])
    },
  },
  {
    id: '23a',
    title:
      'the idempotency store is down: consuming pauses and goes on by itself; no attempt is counted, nothing runs unguarded',
    tier: 'fault',
    settles: true,
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { idempotency: store, retry: { attempts: 2, backoff: fixed('5ms') } }))
      await env.publishAll(bus, flow, env.items(10))
      await env.handled(flow, 'work')
      store.down = true
      await env.publishAll(bus, flow, env.items(20))
      await env.waitFor(
        () => bus.health().status !== 'up',
        () => `health to say so: ${JSON.stringify(bus.health())}`,
      )
      const until = env.clock.now() + 500
      await env.waitFor(() => env.clock.now() > until, '')
      assert.equal(env.runs(flow, 'work').length, 10, 'nothing ran without the store')
      store.down = false
      await env.handled(flow, 'work')
      assert.ok(env.runs(flow, 'work').every(({ attempt }) => attempt === 1))
      assert.equal(env.events.filter(({ kind }) => kind === 'retry' || kind === 'dead-letter').length, 0)
      await env.waitFor(() => bus.health().status === 'up', 'health to be up again')
    },
  },
  {
    id: '23b',
    title: 'the store goes down between effect and mark: the delivery waits, and ends without a retry or a dead letter',
    tier: 'fault',
    settles: true,
    // Else the claim has to run out first.
    needs: holds,
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const bus = await env.bus()
      const item = env.item()
      // No transaction is shared here, so the effect may happen again.
      env.ledger.excuse(flow.name, 'work', { repeats: [item.id] })
      await bus.start(
        env.consumer(flow, 'work', {
          idempotency: store,
          retry: { attempts: 2, backoff: fixed('5ms') },
          handler() {
            if (env.runs(flow, 'work').length === 1) store.down = true
          },
        }),
      )
      await env.publish(bus, flow, item)
      await env.waitFor(() => store.down && env.ledger.handled(flow.name, 'work').length === 1, 'the effect')
      await env.waitFor(() => bus.health().status !== 'up', 'health to say so')
      store.down = false
      await env.waitFor(() => store.completed.size === 1, 'the mark', env.timing.patienceMs + 2 * env.timing.leaseMs)
      assert.equal(env.events.filter(({ kind }) => kind === 'dead-letter').length, 0)
    },
  },
]
