import assert from 'node:assert/strict'
import { type Adapter, type Bus, type Clock, fixed, PolybusError, sleep } from '@polybus/core'
import { able, type Case, faults, holds } from '../case.ts'
import type { Env, ItemChannel } from '../env.ts'
import { derive } from '../tap.ts'
import { gate } from '../wait.ts'
import { releasedMs } from './retry.ts'
import { claimStore } from './stores.ts'

export const cases: readonly Case[] = [
  {
    id: '24a',
    title: 'a group deleted under load: subscribed again within 5 s, or a clear error; no silent idle consumer',
    tier: 'fault',
    needs: faults('deleteGroup'),
    async run(env) {
      const flow = env.channel({ groups: ['work', 'other'] })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'), env.consumer(flow, 'other'))
      await env.publishAll(bus, flow, env.items(50))
      env.ledger.excuse(flow.name, 'work', { loss: true })
      await env.faults.deleteGroup?.(flow.name, 'work')
      await resumed(env, bus, flow)
      await env.handled(flow, 'other')
    },
  },
  {
    id: '24b',
    title: 'the whole channel deleted under load: subscribed again within 5 s, or a clear error',
    tier: 'fault',
    needs: faults('deleteChannel'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      await env.publishAll(bus, flow, env.items(50))
      env.ledger.excuse(flow.name, 'work', { loss: true })
      await env.faults.deleteChannel?.(flow.name)
      await resumed(env, bus, flow)
    },
  },
  {
    id: '24c',
    title: 'a declared group without a consumer is deleted: no confirmed publish misses it unnoticed',
    tier: 'fault',
    needs: faults('deleteGroup'),
    async run(env) {
      const flow = env.channel({ groups: ['work', 'idle'] })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      await env.publishAll(bus, flow, env.items(10))
      await env.handled(flow, 'work')
      // What lay there is gone with it; what comes now may not be.
      env.ledger.excuse(flow.name, 'idle', { loss: true })
      await env.faults.deleteGroup?.(flow.name, 'idle')
      const items = env.items(10)
      const results = await Promise.allSettled(items.map((item) => env.publish(bus, flow, item, { timeout: '5s' })))
      const confirmed = items.filter((_, index) => results[index]?.status === 'fulfilled').map(({ id }) => id)
      await bus.start(env.consumer(flow, 'idle'))
      await env.waitFor(
        () =>
          confirmed.every((id) => env.ledger.handled(flow.name, 'idle').includes(id)) ||
          // A broker that confirms without looking at every group may lose some, if it is told.
          bus.health().reasons.some((text) => text.includes('idle')) ||
          env.logged.some((text) => text.includes('idle')),
        () =>
          `${confirmed.length} confirmed messages in the group that was deleted; it got ${env.ledger.handled(flow.name, 'idle').length}, and nothing says so`,
        Math.max(30_000, env.timing.patienceMs),
      )
    },
  },
  {
    id: '25a',
    title: 'wrong credentials, wrong host, denied: connect rejects within 10 s, typed, not retryable, secrets redacted',
    tier: 'fault',
    needs: able('credentials', ({ plain }) => plain.credentials),
    async run(env) {
      if (!env.harness.refusing)
        throw new Error('the adapter checks credentials, so its harness must export `refusing()`')
      for (const [name, { open, secret }] of Object.entries(env.harness.refusing())) {
        const start = env.clock.now()
        let error: unknown
        try {
          await env.bus({ adapter: open() })
        } catch (thrown) {
          error = thrown
        }
        assert.ok(PolybusError.is(error), `${name}: a typed error, got ${String(error)}`)
        assert.ok(env.clock.now() - start < env.limit(10_000), `${name}: within 10 s`)
        assert.equal(error.retryable, false, `${name}: ${error.code}`)
        assert.ok(!`${error.message} ${error.stack}`.includes(secret), `${name}: the secret is hidden`)
      }
    },
  },
  {
    id: '26a',
    title: 'a stall turns health red within 30 s and the consumer is made anew',
    tier: 'fault',
    needs: able('backlog', ({ plain }) => plain.stats.backlog !== null),
    async run(env) {
      const flow = env.channel()
      let subscribed = 0
      const stalling = deaf(env, env.open({ subscribed: () => void subscribed++ }))
      const { adapter, factor } = hurried(env, stalling.adapter)
      const bus = await env.bus({ adapter })
      await bus.start(env.consumer(flow, 'work', { concurrency: 1 }))
      await env.publishAll(bus, flow, env.items(5))
      await env.handled(flow, 'work')
      await stalling.stall(true)
      // More than a broker that pushes has handed over already.
      await env.publishAll(await env.bus(), flow, env.items(300))
      await env.waitFor(
        () => bus.health().status === 'down',
        () => `health to be down: ${JSON.stringify(bus.health())}`,
        env.limit(31_000) / factor,
      )
      await env.waitFor(() => subscribed >= 2, 'a new subscription')
      assert.ok(env.events.some(({ kind }) => kind === 'stall'))
      await stalling.stall(false)
      await env.handled(flow, 'work')
      await env.waitFor(
        () => bus.health().status === 'up',
        () => `health to be up: ${JSON.stringify(bus.health())}`,
      )
    },
  },
  {
    id: '26b',
    title: 'held keys, standbys, delayed messages and full concurrency are no stall',
    tier: 'fault',
    needs: holds,
    // As long as a stall takes, and at the broker's own speed: in a hurry a slow answer would pass for one.
    limitMs: { quick: 120_000, medium: 120_000, full: 120_000 },
    async run(env) {
      const keyed = env.channel({ keyed: env.keyed.ordering, partitions: 1 })
      const [full, delayed] = [env.channel(), env.channel()]
      const [bus, standby] = [await env.bus(), await env.bus()]
      const open = gate()
      const fails = { concurrency: 4, handler: () => (open.isOpen ? undefined : Promise.reject(new Error('not yet'))) }
      const held = { ...fails, retry: { attempts: 3, backoff: fixed('1m'), wait: 'held' } } as const
      await bus.start(
        env.consumer(keyed, 'work', held),
        env.consumer(full, 'work', { concurrency: 1, timeout: '2m', handler: () => open.passed }),
        env.consumer(delayed, 'work', { ...fails, retry: { attempts: 3, backoff: fixed('1m') } }),
      )
      await standby.start(env.consumer(keyed, 'work', { ...held, label: 'standby' }))
      await env.publishAll(bus, keyed, env.items(5, 1))
      await env.publishAll(bus, full, env.items(50))
      await env.publishAll(bus, delayed, env.items(5))
      await env.waitFor(
        () => [keyed, full, delayed].every((flow) => env.runs(flow, 'work').length > 0),
        'all to be busy',
      )
      const until = env.clock.now() + 33_000
      await env.waitFor(() => env.clock.now() > until || env.events.some(({ kind }) => kind === 'stall'), '', 40_000)
      assert.ok(!env.events.some(({ kind }) => kind === 'stall'), 'no stall was seen')
      assert.notEqual(bus.health().status, 'down')
      assert.notEqual(standby.health().status, 'down')
      open.open()
      // Their delays are longer than the case may last.
      for (const flow of [keyed, delayed]) env.ledger.excuse(flow.name, 'work', { loss: true })
    },
  },
  {
    id: '27a',
    title: 'a clock that is 10 minutes off changes neither backoff, leases nor deduplication',
    tier: 'fault',
    settles: true,
    async run(env) {
      for (const offMs of [600_000, -600_000]) {
        const flow = env.channel()
        const adapter = env.open()
        const store = claimStore(() => env.clock.now())
        const right = adapter.clock ?? env.clock
        const wrong: Clock = { ...right, wall: () => right.wall() + offMs }
        const bus = await env.bus({ adapter: derive(adapter, { clock: wrong }) })
        const slow = env.item()
        const backoffMs = Math.max(300, releasedMs(env))
        await bus.start(
          env.consumer(flow, 'work', {
            idempotency: store,
            timeout: `${env.plain.lease.ms !== null && !env.plain.lease.renewable ? Math.floor(env.plain.lease.ms / 2) : 30_000}ms`,
            retry: { attempts: 3, backoff: fixed(`${backoffMs}ms`) },
            async handler(_, { attempt, message }) {
              if (attempt === 1) throw new Error('once')
              if (message.id !== slow.id || !env.plain.lease.renewable || env.plain.lease.ms === null) return
              const until = env.clock.now() + 1.5 * env.timing.leaseMs
              await env.waitFor(() => env.clock.now() > until, '')
            },
          }),
        )
        const items = [slow, ...env.items(5)]
        await env.publishAll(bus, flow, items)
        await env.handled(flow, 'work')
        for (const { id } of items) {
          const runs = env.runs(flow, 'work', id)
          assert.deepEqual(
            runs.map(({ attempt }) => attempt),
            [1, 2],
          )
          const gap = (runs[1]?.startedAt ?? 0) - (runs[0]?.endedAt ?? 0)
          assert.ok(gap >= backoffMs - 5 && gap < backoffMs + env.limit(3000), `backoff of ${Math.round(gap)} ms`)
        }
        await env.publish(bus, flow, slow)
        await env.waitFor(
          () => env.events.some(({ kind, channel }) => kind === 'duplicate' && channel === flow.name),
          'the duplicate to be seen',
        )
      }
    },
  },
]

/** The broker's own stall where the harness can cause one; else the driver hears nothing of what the broker has. */
function deaf(env: Env, adapter: Adapter): { adapter: Adapter; stall(on: boolean): unknown } {
  const { stall } = env.faults
  if (stall) return { adapter, stall }
  let stalled = false
  return {
    stall: (on) => (stalled = on),
    adapter: derive(adapter, {
      async subscribe(source, call) {
        const feed = await adapter.subscribe(source, call)
        return {
          ...feed,
          async receive(max, { signal }) {
            if (!stalled) return feed.receive(max, { signal })
            await sleep(env.clock, 200, signal)
            return []
          },
        }
      },
    }),
  }
}

/** For quick runs the bus lives some times as fast as its broker. */
function hurried(env: Env, adapter: Adapter): { adapter: Adapter; factor: number } {
  // A receive waits about a second, whatever the bus thinks of it, and a busy machine makes it longer.
  const factor = env.size(4, 1, 2)
  const right = adapter.clock ?? env.clock
  const clock: Clock = {
    ...right,
    now: () => right.now() * factor,
    timer: (delayMs, run) => right.timer(delayMs / factor, run),
  }
  return { adapter: derive(adapter, { clock }), factor }
}

/**
 * The consumer gets new messages within 5 s, or the bus goes on saying clearly that it cannot. A quick run has a machine that
 * others use too, and a broker that may need longer for that alone: there it may take its patience, never in silence. What is
 * lost meanwhile is not asked here.
 */
export async function resumed(env: Env, bus: Bus, flow: ItemChannel): Promise<void> {
  const tried = new Set<string>()
  const within = async (limitMs: number): Promise<boolean> => {
    const end = env.clock.now() + limitMs
    while (env.clock.now() < end) {
      const item = env.item()
      tried.add(item.id)
      try {
        await env.publish(bus, flow, item, { timeout: '1s' })
      } catch (error) {
        if (!PolybusError.is(error)) throw error
      }
      await sleep(env.clock, 50, env.signal)
      if (env.ledger.handled(flow.name, 'work').some((id) => tried.has(id))) return true
    }
    return false
  }
  if (await within(5000)) return
  const { status, reasons } = bus.health()
  const said = `health: ${status} ${reasons.join('; ')}`
  assert.ok(status !== 'up' && reasons.length > 0, `nothing is received, and nothing says so; ${said}`)
  if (env.logged.some((text) => text.startsWith('error'))) return
  const slow = env.mode === 'quick' && (await within(env.timing.patienceMs))
  assert.ok(slow, `nothing is received, and no error says that nothing will be; ${said}`)
}
