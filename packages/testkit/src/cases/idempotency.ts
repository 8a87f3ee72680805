import assert from 'node:assert/strict'
import { fixed } from '@polybus/core'
import { type Case, faults } from '../case.ts'
import { gate } from '../wait.ts'
import { claimStore } from './stores.ts'

const retry = { attempts: 3, backoff: fixed('10ms') }

export const cases: readonly Case[] = [
  {
    id: '9a',
    title: 'a duplicate while the first runs: one effect, and the duplicate is settled only after the first succeeded',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const acked: string[] = []
      const open = gate()
      const watcher = {
        settled: (_: unknown, delivery: { message: { id: string | undefined } } | undefined) =>
          void acked.push(delivery?.message.id ?? ''),
      }
      for (const label of ['a', 'b']) {
        const bus = await env.bus({ watcher })
        await bus.start(
          env.consumer(flow, 'work', { label, idempotency: store, retry, concurrency: 2, handler: () => open.passed }),
        )
      }
      const publisher = await env.bus()
      const item = env.item()
      for (let copy = 0; copy < 4; copy++) await env.publish(publisher, flow, item)
      await env.waitFor(() => store.claims() >= 4, 'every copy to ask for its claim')
      assert.equal(env.runs(flow, 'work').length, 1)
      assert.deepEqual(acked, [], 'no copy is settled while the first runs')
      open.open()
      await env.waitFor(
        () => acked.length === 4,
        () => `four settlements, got ${acked.length}`,
      )
      assert.equal(env.runs(flow, 'work').length, 1, 'one effect')
      assert.equal(env.events.filter(({ kind }) => kind === 'duplicate').length, 3, 'three duplicates are counted')
    },
  },
  {
    id: '9b',
    title: 'a duplicate after completion: one effect, and the duplicate is gone from the broker',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { idempotency: store, retry }))
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.handled(flow, 'work')
      for (let copy = 0; copy < 3; copy++) await env.publish(bus, flow, item)
      await env.waitFor(
        () => env.events.filter(({ kind }) => kind === 'duplicate').length === 3,
        'three duplicates to be seen',
      )
      assert.equal(env.runs(flow, 'work').length, 1)
    },
  },
  {
    id: '9c',
    title: 'a crash between mark and settle: the redelivery is a duplicate, and gone',
    tier: 'fault',
    settles: true,
    needs: faults('crash'),
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      let crashed = false
      const adapter = env.open({
        async settling(_, batch) {
          if (crashed || !batch.some(({ settlement }) => settlement.kind === 'ack')) return
          crashed = true
          await env.faults.crash?.(adapter)
        },
      })
      const first = await env.bus({ adapter })
      await first.start(env.consumer(flow, 'work', { label: 'first', idempotency: store, retry }))
      const publisher = await env.bus()
      await env.publish(publisher, flow, env.item())
      await env.waitFor(() => crashed, 'the crash')
      assert.equal(store.completed.size, 1)
      const second = await env.bus()
      await second.start(env.consumer(flow, 'work', { label: 'second', idempotency: store, retry }))
      await env.waitFor(
        () => env.events.some(({ kind }) => kind === 'duplicate'),
        'the redelivery',
        env.timing.patienceMs + 2 * env.timing.leaseMs,
      )
      assert.equal(env.runs(flow, 'work').length, 1)
    },
  },
  {
    id: '9d',
    title: 'only what succeeded is remembered: failed attempts run again, each with a fresh claim',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', {
          idempotency: store,
          retry,
          handler: (_, { attempt }) => (attempt < 3 ? Promise.reject(new Error('again')) : undefined),
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.handled(flow, 'work')
      assert.deepEqual(
        env.runs(flow, 'work', item.id).map(({ attempt }) => attempt),
        [1, 2, 3],
      )
      assert.ok(store.claims() >= 3)
      assert.equal(store.completed.size, 1)
    },
  },
  {
    id: '9e',
    title: 'waiting for a busy claim costs no attempt',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const open = gate()
      const publisher = await env.bus()
      // Two members, so that the copies meet in the store and nowhere before.
      for (const label of ['a', 'b']) {
        const bus = await env.bus()
        await bus.start(
          env.consumer(flow, 'work', {
            label,
            idempotency: store,
            retry: { attempts: 2, backoff: fixed('10ms') },
            async handler(_, { attempt }) {
              await open.passed
              if (attempt === 1) throw new Error('the first fails')
            },
          }),
        )
      }
      const item = env.item()
      await env.publish(publisher, flow, item)
      await env.waitFor(() => env.runs(flow, 'work').length === 1, 'the first to run')
      await env.publish(publisher, flow, item)
      const claims = store.claims()
      await env.waitFor(() => store.claims() >= claims + 1, 'the copy to wait for the claim')
      open.open()
      await env.handled(flow, 'work')
      const runs = env.runs(flow, 'work')
      assert.ok(
        runs.every(({ attempt }) => attempt <= 2),
        'both copies had all of their attempts',
      )
      assert.equal(runs.filter(({ outcome }) => outcome === 'success').length, 1)
      await env.waitFor(
        () => env.events.filter(({ kind }) => kind === 'duplicate').length === 1,
        'the other copy to end as a duplicate',
      )
    },
  },
]
