// Transactional delivery: what a handler publishes and its message's settlement happen together or not at all.
import assert from 'node:assert/strict'
import { type Bus, channel, consumer, fixed, type Policy, type PublishReceipt, trust } from '@polybus/core'
import { able, all, type Case, faults } from '../case.ts'
import type { Env, Handle, Item, ItemChannel } from '../env.ts'
import { rejection } from '../wait.ts'
import { claimStore } from './stores.ts'

const transactional = able('transactions', ({ plain }) => plain.transactional)
const retry = { attempts: 3, backoff: fixed('20ms'), wait: 'held' } as const
const TRANSACTIONAL = { delivery: 'transactional' } as const

interface Results {
  readonly channel: ItemChannel
  /** The text of each result that arrived, in their order. */
  readonly seen: string[]
  /** By their place on the broker. */
  readonly at: ReadonlyMap<string, string>
}

/** A channel for what handlers publish, and who reads it: without a store, so that each copy counts. */
async function results(env: Env, bus: Bus): Promise<Results> {
  const target = channel(env.name('out'), {
    schema: trust<Item>(),
    key: env.keyed.ordering ? (item: Item): string => item.key ?? '' : undefined,
    groups: ['reader'],
  }) as ItemChannel
  const seen: string[] = []
  const at = new Map<string, string>()
  await bus.start(
    consumer(target, 'reader', ({ text = '' }, { message: { position } }) => {
      seen.push(text)
      at.set(position, text)
    }),
  )
  return { channel: target, seen, at }
}

/** A transactional consumer of the group `work`. */
const work = (
  env: Env,
  bus: Bus,
  flow: ItemChannel,
  options: Policy<Item, undefined> & { readonly handler: Handle<Item>; readonly label?: string },
): Promise<unknown> => bus.start(env.consumer(flow, 'work', { ...TRANSACTIONAL, retry, ...options }))

const arrived = (env: Env, { seen }: Results, count: number): Promise<void> =>
  env.waitFor(
    () => seen.length >= count,
    () => `${count} results; seen: ${seen.length}`,
  )

const result = ({ id, key }: Item, text: string): Item => ({ id: `${id}-${text}`, n: 0, text, ...(key && { key }) })

export const cases: readonly Case[] = [
  {
    id: '28a',
    title:
      'transactional: what a failed attempt published is never seen, what the successful one published is seen once',
    tier: 'plain',
    needs: transactional,
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const out = await results(env, bus)
      await work(env, bus, flow, {
        async handler(item, { attempt, publish }) {
          await publish(out.channel, result(item, `${item.n} first ${attempt}`))
          await publish(out.channel, result(item, `${item.n} second ${attempt}`))
          if (item.n % 2 === 0 && attempt === 1) throw new Error('after publishing')
        },
      })
      const items = env.items(20)
      await env.publishAll(bus, flow, items)
      await env.handled(flow, 'work')
      await arrived(env, out, 40)
      const expected = items.flatMap(({ n }) =>
        [1, 2].map((m) => `${n} ${m === 1 ? 'first' : 'second'} ${n % 2 ? 1 : 2}`),
      )
      assert.deepEqual(out.seen.toSorted(), expected.toSorted())
    },
  },
  {
    id: '28b',
    title: 'transactional: a dead letter takes nothing along of what its attempts published, and its neighbours flow',
    tier: 'plain',
    needs: transactional,
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const bus = await env.bus()
      const out = await results(env, bus)
      await work(env, bus, flow, {
        async handler(item, { publish }) {
          await publish(out.channel, result(item, String(item.n)))
          if (item.n % 5 === 0) throw new Error('never')
        },
      })
      const items = env.items(20, 4)
      await env.publishAll(bus, flow, items)
      await env.handled(flow, 'work')
      const good = items.filter(({ n }) => n % 5 !== 0)
      await arrived(env, out, good.length)
      assert.deepEqual(out.seen.toSorted(), good.map(({ n }) => String(n)).toSorted())
      const letters: string[] = []
      for await (const { message } of bus.deadLetters(flow, 'work').list()) letters.push(message.id)
      assert.deepEqual(
        letters.toSorted(),
        items
          .filter((item) => !good.includes(item))
          .map(({ id }) => id)
          .toSorted(),
      )
    },
  },
  {
    id: '28c',
    title: 'transactional: results of one key arrive in the order of their messages',
    tier: 'plain',
    needs: all(
      transactional,
      able('ordering', ({ keyed }) => keyed.ordering),
    ),
    async run(env) {
      const flow = env.channel({ keyed: true })
      const bus = await env.bus()
      const out = await results(env, bus)
      await work(env, bus, flow, {
        concurrency: 16,
        handler: (item, { publish }) => publish(out.channel, result(item, `${item.key} ${item.n}`)),
      })
      const items = env.items(env.size(400, 4000), 8)
      await env.publishAll(bus, flow, items, 32)
      await arrived(env, out, items.length)
      for (const key of new Set(items.map((item) => item.key)))
        assert.deepEqual(
          out.seen.filter((text) => text.startsWith(`${key} `)),
          items.filter((item) => item.key === key).map(({ n }) => `${key} ${n}`),
        )
    },
  },
  {
    id: '28d',
    title: 'transactional: a member dies again and again in the middle: each message has its results once, all of them',
    tier: 'fault',
    needs: all(transactional, faults('crash')),
    limitMs: { quick: 120_000, medium: 240_000, full: 600_000 },
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const publisher = await env.bus()
      const out = await results(env, publisher)
      const items = env.items(env.size(300, 5000), 16)
      const publishing = env.publishAll(publisher, flow, items, 16)
      const handler: Handle<Item> = async (item, { publish }) => {
        await publish(out.channel, result(item, `${item.id} a`))
        await env.clock.turn()
        await publish(out.channel, result(item, `${item.id} b`))
      }
      for (let life = 1; life <= env.size(3, 20); life++) {
        const adapter = env.open()
        const bus = await env.bus({ adapter })
        const before = env.runs(flow, 'work').length
        await work(env, bus, flow, { label: `life-${life}`, concurrency: 8, handler })
        await env.waitFor(
          () => env.runs(flow, 'work').length >= before + 20 || env.ledger.open(flow.name, 'work').length === 0,
          `life ${life} to work`,
          env.timing.patienceMs + 3 * env.timing.leaseMs,
        )
        await env.faults.crash?.(adapter)
      }
      await work(env, await env.bus(), flow, { label: 'last', handler })
      await publishing
      await env.waitFor(
        () => new Set(out.seen).size >= 2 * items.length,
        () => `${2 * items.length} results; seen: ${new Set(out.seen).size}`,
        4 * env.timing.patienceMs + 3 * env.timing.leaseMs,
      )
      assert.deepEqual(out.seen.toSorted(), items.flatMap(({ id }) => [`${id} a`, `${id} b`]).toSorted())
    },
  },
  {
    id: '28e',
    title: 'transactional: the connection is cut in the middle: each message has its results once, all of them',
    tier: 'fault',
    needs: all(transactional, faults('cut')),
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const bus = await env.bus()
      const out = await results(env, bus)
      await work(env, bus, flow, {
        handler: (item, { publish, message }) =>
          publish(out.channel, result(item, `${item.id} ${String(message.position)}`)),
      })
      const items = env.items(env.size(300, 3000), 16)
      const publishing = env.publishAll(bus, flow, items, 8)
      const done = (): number => new Set([...out.at.values()].map((text) => text.split(' ')[0])).size
      for (let cuts = 1; cuts <= env.size(3, 10); cuts++) {
        await env.waitFor(() => done() >= (cuts * items.length) / 20, `results before cut ${cuts}`, 60_000)
        await env.faults.cut?.()
      }
      await publishing
      await env.waitFor(
        () => done() >= items.length,
        () => `the results of ${items.length} messages; seen: ${done()}`,
        4 * env.timing.patienceMs,
      )
      // A publish whose answer was cut off may lie there twice, and the reader may be given a result again: what counts is
      // that no place on the source has results at two places.
      assert.deepEqual(
        [...out.at.values()].filter((text, index, texts) => texts.indexOf(text) !== index),
        [],
      )
    },
  },
  {
    id: '28f',
    title:
      'transactional: a publish after the end of its attempt is refused, and a batch consumer or a store beside it too',
    tier: 'plain',
    needs: transactional,
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const out = await results(env, bus)
      let late: (() => Promise<PublishReceipt>) | undefined
      await work(env, bus, flow, {
        handler(item, { publish }) {
          late = () => publish(out.channel, result(item, 'late'))
        },
      })
      await env.publish(bus, flow, env.item())
      await env.handled(flow, 'work')
      const error = await rejection(Promise.resolve(late?.()), 'ABORTED')
      assert.equal(error.sent, 'no')
      const other = channel(env.name(), { schema: trust<Item>(), groups: ['work'] })
      const refused = async (run: Parameters<typeof consumer<Item, string>>[2]): Promise<void> =>
        void (await rejection(bus.start(consumer(other, 'work', run)), 'UNSUPPORTED'))
      await refused({ ...TRANSACTIONAL, batch: { max: 10, wait: '10ms', handler: () => {} } })
      await refused({ ...TRANSACTIONAL, idempotency: claimStore(() => env.clock.now()), handler: () => {} })
      // What comes behind it shows that it is not there.
      await bus.publish(out.channel, { id: 'marker', n: 0, text: 'marker' })
      await arrived(env, out, 1)
      assert.deepEqual(out.seen, ['marker'])
    },
  },
]
