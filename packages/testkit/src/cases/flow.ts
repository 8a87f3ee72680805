import assert from 'node:assert/strict'
import { fixed } from '@polybus/core'
import { able, all, type Case, faults, holds } from '../case.ts'
import { gate, rejection } from '../wait.ts'

const shortLease = able('lease that runs out', ({ plain }) => plain.lease.ms !== null)

export const cases: readonly Case[] = [
  {
    id: '11a',
    title: 'a handler that takes three leases runs once: its lease is renewed',
    tier: 'plain',
    needs: all(shortLease, holds),
    async run(env) {
      const flow = env.channel()
      const [bus, other] = [await env.bus(), await env.bus()]
      const ms = 3 * env.timing.leaseMs
      const slow = env.item()
      let lost = false
      const handler = async ({ id }: { id: string }, { signal }: { signal: AbortSignal }): Promise<void> => {
        if (id !== slow.id) return
        const until = env.clock.now() + ms
        await env.waitFor(() => signal.aborted || env.clock.now() > until, '', ms + 5000)
        lost ||= signal.aborted
      }
      for (const [label, one] of [
        ['a', bus],
        ['b', other],
      ] as const)
        await one.start(env.consumer(flow, 'work', { label, timeout: `${ms * 3}ms`, handler }))
      await env.publish(bus, flow, slow)
      await env.publishAll(bus, flow, env.items(20))
      await env.handled(flow, 'work', ms + env.timing.patienceMs)
      assert.equal(env.runs(flow, 'work', slow.id).length, 1)
      assert.equal(lost, false)
    },
  },
  {
    id: '11b',
    title: 'where leases cannot be renewed, a time-out above the lease is refused',
    tier: 'plain',
    needs: able('lease that cannot be renewed', ({ plain }) => plain.lease.ms !== null && !plain.lease.renewable),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const error = await rejection(
        bus.start(env.consumer(flow, 'work', { timeout: `${env.timing.leaseMs * 2}ms` })),
        'UNSUPPORTED',
      )
      assert.match(error.message, /lease|timeout/i)
      await bus.start(env.consumer(flow, 'work', { timeout: `${Math.floor(env.timing.leaseMs / 2)}ms` }))
    },
  },
  {
    id: '11c',
    title: 'past its time-out a handler sees the abort and gets one retry',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const timeoutMs = Math.min(200, env.timing.leaseMs / 2)
      const names: string[] = []
      await bus.start(
        env.consumer(flow, 'work', {
          timeout: `${timeoutMs}ms`,
          retry: { attempts: 2, backoff: fixed('5ms'), wait: 'held' },
          handler: async (_, { signal, attempt }) => {
            if (attempt > 1) return
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
            names.push(String((signal.reason as { code?: string } | undefined)?.code))
            signal.throwIfAborted()
          },
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.handled(flow, 'work')
      const runs = env.runs(flow, 'work')
      assert.deepEqual(
        runs.map(({ attempt }) => attempt),
        [1, 2],
      )
      const took = (runs[0]?.endedAt ?? 0) - (runs[0]?.startedAt ?? 0)
      assert.ok(took >= timeoutMs - 5 && took < timeoutMs + env.limit(1000), `the abort came after ${took} ms`)
      assert.deepEqual(names, ['HANDLER_TIMEOUT'])
    },
  },
  {
    id: '11d',
    title:
      'a lease lost halfway: the signal aborts, the message runs again, no attempt is lost, the late settlement changes nothing',
    tier: 'fault',
    settles: true,
    needs: faults('loseLease'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const item = env.item()
      let aborted = false
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 4,
          retry: { attempts: 1 },
          async handler(_, { signal }) {
            if (env.runs(flow, 'work', item.id).length > 1) return
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
            aborted = true
            throw new Error('this counts no more')
          },
        }),
      )
      await env.publish(bus, flow, item)
      await env.waitFor(() => env.runs(flow, 'work').length === 1, 'the handler')
      await env.faults.loseLease?.()
      await env.waitFor(() => aborted, 'the signal to abort', env.timing.leaseMs + 3000)
      await env.handled(flow, 'work')
      assert.deepEqual(env.ledger.handled(flow.name, 'work'), [item.id])
      assert.deepEqual(
        env.runs(flow, 'work', item.id).map(({ attempt }) => attempt),
        [1, 1],
        'what a loss interrupts is not counted',
      )
      if (env.plain.stats.deadLetters) assert.equal((await bus.stats(flow, 'work')).deadLetters, 0)
    },
  },
  {
    id: '11e',
    title: 'messages that wait for a slot keep their lease, or come again without a loss',
    tier: 'plain',
    needs: all(shortLease, holds),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const open = gate()
      const items = env.items(12)
      await bus.start(env.consumer(flow, 'work', { concurrency: 2, timeout: '1m', handler: () => open.passed }))
      await env.publishAll(bus, flow, items)
      await env.waitFor(() => env.runs(flow, 'work').length === 2, 'both slots to be taken')
      const until = env.clock.now() + 2.5 * env.timing.leaseMs
      await env.waitFor(() => env.clock.now() > until, '', 3 * env.timing.leaseMs + 5000)
      open.open()
      await env.handled(flow, 'work')
      assert.equal(env.runs(flow, 'work').length, items.length, 'each ran once')
    },
  },
  {
    id: '12a',
    title: 'one slow handler among many fast ones: the fast ones finish meanwhile',
    tier: 'plain',
    needs: holds,
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const open = gate()
      const [slow, ...fast] = env.items(env.size(501, 1001))
      assert.ok(slow)
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 8,
          timeout: '1m',
          handler: ({ id }) => (id === slow.id ? open.passed : undefined),
        }),
      )
      await env.publish(bus, flow, slow)
      await env.waitFor(() => env.runs(flow, 'work').length === 1, 'the slow one to start')
      await env.publishAll(bus, flow, fast)
      await env.waitFor(
        () => env.ledger.handled(flow.name, 'work').length === fast.length,
        () => `${fast.length} fast ones, got ${env.ledger.handled(flow.name, 'work').length}`,
        10_000,
      )
      open.open()
      await env.handled(flow, 'work')
    },
  },
  {
    id: '12b',
    title: 'a consumer takes no more than concurrency and prefetch allow, and never runs more than concurrency',
    tier: 'plain',
    needs: holds,
    async run(env) {
      const flow = env.channel()
      const open = gate()
      let [received, room] = [0, 0]
      const bus = await env.bus({
        watcher: {
          subscribed: ({ maxInFlight }) => void (room = maxInFlight),
          received: (_, deliveries) => void (received += deliveries.length),
        },
      })
      await env.publishAll(bus, flow, env.items(400))
      await bus.start(env.consumer(flow, 'work', { concurrency: 3, timeout: '1m', handler: () => open.passed }))
      await env.waitFor(() => env.runs(flow, 'work').length === 3, 'three handlers')
      const until = env.clock.now() + 300
      await env.waitFor(() => env.clock.now() > until, '')
      assert.equal(env.runs(flow, 'work').length, 3)
      assert.ok(received <= room && room < 400, `${received} taken with room for ${room}`)
      open.open()
      await env.handled(flow, 'work')
    },
  },
  {
    id: '12c',
    title: 'a paused consumer starts nothing, and goes on where it was',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const [subscription] = await bus.start(env.consumer(flow, 'work'))
      await env.publishAll(bus, flow, env.items(5))
      await env.handled(flow, 'work')
      subscription?.pause()
      await env.clock.turn()
      await env.publishAll(bus, flow, env.items(5))
      const until = env.clock.now() + 300
      await env.waitFor(() => env.clock.now() > until, '')
      assert.equal(env.runs(flow, 'work').length, 5)
      subscription?.resume()
      await env.handled(flow, 'work')
      assert.equal(env.runs(flow, 'work').length, 10)
    },
  },
]
