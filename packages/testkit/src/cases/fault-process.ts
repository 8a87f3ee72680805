import assert from 'node:assert/strict'
import { PolybusError, type Receipt, type Result } from '@polybus/core'
import { type Case, faults } from '../case.ts'
import { gate } from '../wait.ts'

const retry = { attempts: 5 }

export const cases: readonly Case[] = [
  {
    id: '19a',
    title: 'half-open: publishes end by their deadline, nothing hangs, and nothing called not sent arrives later',
    tier: 'fault',
    needs: faults('pause', 'resume'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { retry }))
      await env.publishAll(bus, flow, env.items(10))
      await env.handled(flow, 'work')
      await env.faults.pause?.()
      const items = env.items(10)
      const start = env.clock.now()
      const results = await Promise.allSettled(items.map((item) => env.publish(bus, flow, item, { timeout: '700ms' })))
      assert.ok(env.clock.now() - start < env.limit(3000), 'by their deadline')
      for (const result of results)
        assert.ok(
          result.status === 'rejected' && PolybusError.is(result.reason) && result.reason.sent !== undefined,
          JSON.stringify(result),
        )
      await env.faults.resume?.()
      await env.publish(bus, flow, env.item(undefined, { text: 'after' }))
      await env.handled(flow, 'work', 20_000)
    },
  },
  {
    id: '19b',
    title: 'half-open: health turns red, and consuming goes on once it answers again',
    tier: 'fault',
    needs: faults('pause', 'resume'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { retry }))
      await env.publishAll(bus, flow, env.items(10))
      await env.handled(flow, 'work')
      await env.faults.pause?.()
      await env.waitFor(
        () => bus.health().status === 'down',
        () => `health to be down: ${JSON.stringify(bus.health())}`,
        30_000,
      )
      await env.faults.resume?.()
      await env.publishAll(bus, flow, env.items(10))
      await env.handled(flow, 'work')
      await env.waitFor(() => bus.health().status === 'up', 'health to be up again')
    },
  },
  {
    id: '20a',
    title: 'consumers killed in the middle of handlers, again and again: nothing lost',
    tier: 'fault',
    // Each kill ends when a lease or a session has run out.
    limitMs: { medium: 240_000, full: 600_000 },
    needs: faults('crash'),
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const publisher = await env.bus()
      const items = env.items(60, 6)
      await env.publishAll(publisher, flow, items)
      for (let kill = 0; kill < env.size(4, 50) && env.ledger.open(flow.name, 'work').length > 0; kill++) {
        const adapter = env.open()
        const bus = await env.bus({ adapter })
        const label = `k${kill}`
        const stuck = gate()
        let started = 0
        await bus.start(
          env.consumer(flow, 'work', {
            label,
            retry,
            concurrency: 4,
            handler: () => (++started > 6 ? stuck.passed.then(() => Promise.reject(new Error('dead'))) : undefined),
          }),
        )
        await env.waitFor(
          () => started > 6 || env.ledger.open(flow.name, 'work').length === 0,
          `victim ${kill} to be in the middle`,
          env.timing.patienceMs + env.timing.leaseMs,
        )
        await env.faults.crash?.(adapter)
        stuck.open()
      }
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { label: 'last', retry }))
      await env.handled(flow, 'work', env.timing.patienceMs + 2 * env.timing.leaseMs)
    },
  },
  {
    id: '20b',
    title:
      'members come and go in the middle of attempt 3: nothing lost, and nothing is settled by who no longer owns it',
    tier: 'fault',
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const publisher = await env.bus()
      const settledBy = new Map<string, string[]>()
      const member = async (label: string): Promise<{ close(): Promise<void> }> => {
        const bus = await env.bus({
          watcher: {
            settled(_, delivery, settlement, result) {
              if (settlement.kind === 'ack' && result?.ok && delivery)
                settledBy.set(delivery.position, [...(settledBy.get(delivery.position) ?? []), label])
            },
          },
        })
        await bus.start(
          env.consumer(flow, 'work', {
            label,
            concurrency: 8,
            retry: { attempts: 5, backoff: { delayMs: () => 20 }, wait: 'held' },
            handler(_, { attempt }) {
              if (attempt < 4) throw new Error('again')
            },
          }),
        )
        return bus
      }
      await member('a')
      await env.publishAll(publisher, flow, env.items(60, 12))
      await env.waitFor(() => env.runs(flow, 'work').some(({ attempt }) => attempt === 3), 'attempt 3')
      const b = await member('b')
      await env.waitFor(
        () =>
          env.runs(flow, 'work').some(({ consumer }) => consumer === 'b') ||
          env.ledger.open(flow.name, 'work').length === 0,
        'the second to take part',
      )
      await b.close()
      await member('c')
      await env.handled(flow, 'work')
      if (env.plain.settlement === 'single')
        assert.deepEqual(
          [...settledBy.values()].filter((labels) => labels.length > 1),
          [],
          'each message is settled once',
        )
    },
  },
  {
    id: '21a',
    title: 'a publisher that dies in the middle of a burst: what had resolved is on the broker',
    tier: 'fault',
    needs: faults('crash'),
    async run(env) {
      const flow = env.channel()
      const answers = { count: 0 }
      const adapter = env.open({
        sent: (_: unknown, result: Result<Receipt> | undefined) => void (result?.ok && answers.count++),
      })
      const bus = await env.bus({ adapter })
      // Its channel is set up before the burst, whose publishes have only a second.
      await env.publish(bus, flow, env.item())
      answers.count = 0
      const publishing = Promise.allSettled(
        env.items(500).map((item) => env.publish(bus, flow, item, { timeout: '1s' })),
      )
      await env.waitFor(() => answers.count > 0, 'the first answers')
      await env.faults.crash?.(adapter)
      await publishing
      const other = await env.bus()
      await other.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
    },
  },
]
