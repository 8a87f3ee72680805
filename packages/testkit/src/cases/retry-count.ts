import assert from 'node:assert/strict'
import { fixed, type Retry } from '@polybus/core'
import { able, all, browsing, type Case, faults } from '../case.ts'
import type { Env } from '../env.ts'
import { gate } from '../wait.ts'

/** The shortest wait that the broker itself keeps; shorter ones core holds. */
export const releasedMs = (env: Env): number => (env.plain.delay.kind === 'exact' ? 60 : 1000)

export const cases: readonly Case[] = [
  {
    id: '5h',
    title: 'a message that never ran never loses an attempt, however often it was handed over',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const publisher = await env.bus()
      const items = env.items(8)
      await env.publishAll(publisher, flow, items)
      // Each member takes several messages, starts one and leaves; the one that started is interrupted, so not counted either.
      for (let round = 0; round < 5; round++) {
        const bus = await env.bus()
        const label = `r${round}`
        const open = gate()
        await bus.start(
          env.consumer(flow, 'work', {
            label,
            concurrency: 1,
            retry: { attempts: 2, backoff: fixed('5ms') },
            handler: () => open.passed.then(() => Promise.reject(new Error('interrupted'))),
          }),
        )
        await env.waitFor(
          () => env.runs(flow, 'work').some(({ consumer }) => consumer === label),
          `round ${round} to start one`,
        )
        const closing = bus.close({ grace: '100ms' })
        await closing
        open.open()
      }
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', {
          label: 'last',
          retry: { attempts: 2, backoff: fixed('5ms') },
          handler: (_, { attempt }) => (attempt === 1 ? Promise.reject(new Error('first')) : undefined),
        }),
      )
      await env.handled(flow, 'work')
      for (const { id } of items) {
        const last = env.runs(flow, 'work', id).filter(({ consumer }) => consumer === 'last')
        assert.deepEqual(
          last.map(({ attempt }) => attempt),
          [1, 2],
          `${id} has both of its attempts`,
        )
      }
    },
  },
  {
    id: '5i',
    title: 'with dead letters turned off what fails for good is discarded and counted',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      env.ledger.excuse(flow.name, 'work', { loss: true })
      await bus.start(
        env.consumer(flow, 'work', {
          deadLetter: false,
          retry: { attempts: 2, backoff: fixed('5ms') },
          handler: ({ n }) => (n % 2 === 0 ? Promise.reject(new Error('even')) : undefined),
        }),
      )
      await env.publishAll(bus, flow, env.items(10))
      await env.waitFor(
        () => env.events.filter(({ kind }) => kind === 'discard').length === 5,
        'five discards to be counted',
      )
      await env.waitFor(() => env.ledger.handled(flow.name, 'work').length === 5, 'the others')
      assert.equal(env.events.filter(({ kind }) => kind === 'dead-letter').length, 0)
      if (env.plain.stats.deadLetters) assert.equal((await bus.stats(flow, 'work')).deadLetters, 0)
    },
  },
  {
    id: '5j',
    title: 'the count of a released retry goes on in another process',
    tier: 'plain',
    needs: able('delay', ({ plain }) => plain.delay.kind !== 'none'),
    async run(env) {
      const flow = env.channel()
      const retry: Retry = { attempts: 3, backoff: fixed('1s'), wait: 'released' }
      const first = await env.bus()
      await first.start(
        env.consumer(flow, 'work', { retry, label: 'first', handler: () => Promise.reject(new Error('no')) }),
      )
      const item = env.item()
      await env.publish(first, flow, item)
      await env.waitFor(() => env.events.some(({ kind }) => kind === 'retry'), 'the first attempt to be released')
      await first.close()
      const second = await env.bus()
      await second.start(
        env.consumer(flow, 'work', { retry, label: 'second', handler: () => Promise.reject(new Error('no')) }),
      )
      await env.handled(flow, 'work')
      assert.deepEqual(
        env.runs(flow, 'work', item.id).map(({ attempt, consumer }) => [attempt, consumer]),
        [
          [1, 'first'],
          [2, 'second'],
          [3, 'second'],
        ],
      )
    },
  },
  {
    id: '5k',
    title: 'the count of a held retry outlives its process where released messages keep headers',
    tier: 'plain',
    needs: able('release headers', ({ plain }) => plain.releaseHeaders),
    async run(env) {
      const flow = env.channel()
      const first = await env.bus()
      await first.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 3, backoff: fixed('30s'), wait: 'held' },
          label: 'first',
          handler: () => Promise.reject(new Error('no')),
        }),
      )
      const item = env.item()
      await env.publish(first, flow, item)
      await env.waitFor(() => env.events.some(({ kind }) => kind === 'retry'), 'the first attempt to wait')
      await first.close()
      const second = await env.bus()
      await second.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 3, backoff: fixed('5ms'), wait: 'held' },
          label: 'second',
          handler: () => Promise.reject(new Error('no')),
        }),
      )
      await env.handled(flow, 'work')
      assert.deepEqual(
        env.runs(flow, 'work', item.id).map(({ attempt }) => attempt),
        [1, 2, 3],
      )
    },
  },
  {
    id: '5l',
    title: 'a held retry gives its concurrency slot to others',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const bad = env.item(undefined, { text: 'bad' })
      const others = (): number => env.ledger.handled(flow.name, 'work').length
      await bus.start(
        env.consumer(flow, 'work', {
          concurrency: 1,
          timeout: '1s',
          retry: { attempts: 1000, backoff: fixed('200ms'), wait: 'held' },
          handler: ({ text }) => (text && others() < 20 ? Promise.reject(new Error('wait')) : undefined),
        }),
      )
      await env.publish(bus, flow, bad)
      const rest = env.items(20)
      await env.publishAll(bus, flow, rest)
      await env.handled(flow, 'work')
      assert.equal(env.ledger.handled(flow.name, 'work').at(-1), bad.id, 'the others did not wait for it')
    },
  },
  {
    id: '5m',
    title: "a message that kills its process each time is stopped by the broker's own count",
    tier: 'fault',
    needs: all(
      able('crash guard', ({ plain }) => plain.crashGuard !== null),
      faults('crash'),
      browsing,
    ),
    async run(env) {
      const flow = env.channel()
      const publisher = await env.bus()
      const item = env.item()
      await env.publish(publisher, flow, item)
      const retry: Retry = { attempts: 1, backoff: fixed('5ms') }
      const limit = 1 + (env.plain.crashGuard ?? 0)
      const letters = async (): Promise<readonly string[]> => {
        const reasons: string[] = []
        for await (const { reason } of publisher.deadLetters(flow, 'work').list()) reasons.push(reason)
        return reasons
      }
      for (let crashes = 0; crashes <= limit + 2 && (await letters()).length === 0; crashes++) {
        const adapter = env.open()
        const bus = await env.bus({ adapter })
        const before = env.runs(flow, 'work').length
        const never = gate()
        await bus.start(env.consumer(flow, 'work', { retry, handler: () => never.passed }))
        await env.waitFor(
          async () => env.runs(flow, 'work').length > before || (await letters()).length > 0,
          'the message to come again',
          env.timing.patienceMs + env.timing.leaseMs,
        )
        await env.faults.crash?.(adapter)
        await env.faults.loseLease?.()
        never.open()
      }
      assert.deepEqual(await letters(), ['delivery-limit'])
      assert.ok(
        env.runs(flow, 'work').length >= 1 && env.runs(flow, 'work').length <= limit + 1,
        `it started ${env.runs(flow, 'work').length} times`,
      )
    },
  },
]
