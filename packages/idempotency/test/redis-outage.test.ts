// The whole way of a message while its store dies: a real pipeline, a client as users make it, a server killed twice.
import { describeBroker } from '@polybus/brokers'
import { memory } from '@polybus/memory'
import { type BusEvent, channel, connect, consumer, trust } from 'polybus'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { redisStore, type RedisStore } from '../src/index.ts'

vi.setConfig({ testTimeout: 90_000 })

const MESSAGES = 2000
const CONCURRENCY = 32
const WAIT = { timeout: 30_000, interval: 20 }

await describeBroker(
  'redis',
  (broker) => {
    test('redis store: its server is killed and restarted under load: consuming pauses and resumes, nothing is lost, and effects come twice only where a completion could not be recorded', async () => {
      const client = new Redis(broker().url)
      client.on('error', () => {})
      onTestFinished(() => client.disconnect())
      const recorded = new Set<string>()
      const store = watching(redisStore(client, { prefix: 'outage:', timeout: '1s' }), recorded)

      const orders = channel('orders', { schema: trust<{ id: string }>(), groups: ['charge'] })
      const effects = new Map<string, number>()
      const attempts = new Set<number>()
      const events: BusEvent['kind'][] = []
      const bus = await connect({ broker: memory(), logger: false, observe: ({ kind }) => void events.push(kind) })
      onTestFinished(() => bus.close())
      const absorbed = (): number => events.filter((kind) => kind === 'duplicate').length
      let runs = 0
      await bus.start(
        consumer(orders, 'charge', {
          idempotency: store,
          concurrency: CONCURRENCY,
          async handler({ id }, { attempt }) {
            runs++
            attempts.add(attempt)
            await new Promise((resolve) => setImmediate(resolve))
            effects.set(id, (effects.get(id) ?? 0) + 1)
          },
        }),
      )
      const published: Promise<unknown>[] = []
      const publish = (from: number, to: number): void => {
        for (let n = from; n < to; n++) {
          published.push(bus.publish(orders, { id: `o-${n}` }, { id: `m-${n}` }))
          // A publisher that tried again.
          if (n % 10 === 0) published.push(bus.publish(orders, { id: `o-${n}` }, { id: `m-${n}` }))
        }
      }
      const outage = async (from: number, to: number): Promise<void> => {
        await broker().kill()
        publish(from, to)
        const atDeath = runs
        await vi.waitUntil(() => bus.health().reasons.length > 0, WAIT)
        expect(bus.health()).toMatchObject({
          status: 'degraded',
          reasons: [expect.stringMatching(/^orders\/charge: .*idempotency store in Redis/)],
        })
        await vi.waitUntil(() => bus.health().reasons.some((text) => text.includes('consuming is paused')), WAIT)
        const paused = runs
        // Those that had their claims, and no other.
        expect(paused - atDeath).toBeLessThanOrEqual(CONCURRENCY)
        await vi.waitUntil(() => client.status === 'reconnecting', WAIT)
        expect(runs).toBe(paused)
        await broker().start()
        await vi.waitUntil(() => runs > paused, WAIT)
      }

      publish(0, 800)
      await vi.waitUntil(() => runs >= 300, WAIT)
      await outage(800, 1400)
      await vi.waitUntil(() => runs >= 900, WAIT)
      await outage(1400, MESSAGES)
      await Promise.all(published)
      await vi.waitUntil(() => effects.size === MESSAGES, WAIT)
      await vi.waitUntil(() => absorbed() + runs === published.length, WAIT)
      await vi.waitUntil(async () => {
        const { backlog, inFlight } = await bus.stats(orders, 'charge')
        return backlog === 0 && inFlight === 0
      }, WAIT)

      const twice = [...effects].filter(([, count]) => count > 1).map(([id]) => id)
      console.log(
        `${published.length} published, ${effects.size} handled, ${runs} effects, ${absorbed()} duplicates absorbed, ${twice.length} effects twice`,
      )
      expect(twice.filter((id) => recorded.has(id))).toEqual([])
      expect(effects.size).toBe(MESSAGES)
      expect(await bus.stats(orders, 'charge')).toMatchObject({ deadLetters: 0 })
      // Waiting for a store is no attempt.
      expect([...attempts]).toEqual([1])
      await vi.waitUntil(() => bus.health().status === 'up', WAIT)
    })
  },
  { instance: 'store-redis-outage' },
)

/** Keys whose first completion was recorded. */
function watching(store: RedisStore, recorded: Set<string>): RedisStore {
  return {
    ...store,
    async complete(key, fence) {
      const done = await store.complete(key, fence)
      if (done) recorded.add(key.replace(/^.*:m-/, 'o-'))
      return done
    },
  }
}
