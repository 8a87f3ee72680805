// Transactional delivery: what a handler publishes and its message's settlement happen together or not at all.
import assert from 'node:assert/strict'
import { type Bus, channel, consumer, fixed, type PublishReceipt, trust } from '@polybus/core'
import { able, all, type Case, faults } from '../case.ts'
import type { Env, Item, ItemChannel } from '../env.ts'
import { rejection } from '../wait.ts'

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
      await bus.start(
        env.consumer(flow, 'work', {
          ...TRANSACTIONAL,
          retry,
          async handler(item, { attempt, publish }) {
            await publish(out.channel, result(item, `${item.n} first ${attempt}`))
            await publish(out.channel, result(item, `${item.n} second ${attempt}`))
            if (item.n % 2 === 0 && attempt === 1) throw new Error('after publishing')
          },
        }),
      )
      const items = env.items(20)
      await env.publishAll(bus, flow, items)
      await env.handled(flow, 'work')
      await env.waitFor(
        () => out.seen.length >= 40,
        () => `40 results; seen: ${out.seen.length}`,
      )
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
      await bus.start(
        env.consumer(flow, 'work', {
          ...TRANSACTIONAL,
          retry,
          async handler(item, { publish }) {
            await publish(out.channel, result(item, String(item.n)))
            if (item.n % 5 === 0) throw new Error('never')
          },
        }),
      )
      const items = env.items(20, 4)
      await env.publishAll(bus, flow, items)
      await env.handled(flow, 'work')
      const good = items.filter(({ n }) => n % 5 !== 0)
      await env.waitFor(
        () => out.seen.length >= good.length,
        () => `${good.length} results; seen: ${out.seen.length}`,
      )
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
      await bus.start(
        env.consumer(flow, 'work', {
          ...TRANSACTIONAL,
          retry,
          concurrency: 16,
          handler: (item, { publish }) => publish(out.channel, result(item, `${item.key} ${item.n}`)),
        }),
      )
      const items = env.items(env.size(400, 4000), 8)
      await env.publishAll(bus, flow, items, 32)
      await env.waitFor(
        () => out.seen.length >= items.length,
        () => `${items.length} results; seen: ${out.seen.length}`,
      )
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
      for (let life = 1; life <= env.size(3, 20); life++) {
        const adapter = env.open()
        const bus = await env.bus({ adapter })
        const before = env.runs(flow, 'work').length
        await bus.start(
          env.consumer(flow, 'work', {
            ...TRANSACTIONAL,
            label: `life-${life}`,
            retry,
            concurrency: 8,
            async handler(item, { publish }) {
              await publish(out.channel, result(item, `${item.id} a`))
              await env.clock.turn()
              await publish(out.channel, result(item, `${item.id} b`))
            },
          }),
        )
        await env.waitFor(
          () => env.runs(flow, 'work').length >= before + 20 || env.ledger.open(flow.name, 'work').length === 0,
          `life ${life} to work`,
          env.timing.patienceMs + 3 * env.timing.leaseMs,
        )
        await env.faults.crash?.(adapter)
      }
      const last = await env.bus()
      await last.start(
        env.consumer(flow, 'work', {
          ...TRANSACTIONAL,
          label: 'last',
          retry,
          async handler(item, { publish }) {
            await publish(out.channel, result(item, `${item.id} a`))
            await publish(out.channel, result(item, `${item.id} b`))
          },
        }),
      )
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
      await bus.start(
        env.consumer(flow, 'work', {
          ...TRANSACTIONAL,
          retry,
          handler: (item, { publish, message }) =>
            publish(out.channel, result(item, `${item.id} ${String(message.position)}`)),
        }),
      )
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
      await bus.start(
        env.consumer(flow, 'work', {
          ...TRANSACTIONAL,
          retry,
          handler(item, { publish }) {
            late = () => publish(out.channel, result(item, 'late'))
          },
        }),
      )
      await env.publish(bus, flow, env.item())
      await env.handled(flow, 'work')
      const error = await rejection(Promise.resolve(late?.()), 'ABORTED')
      assert.equal(error.sent, 'no')
      const other = channel(env.name(), { schema: trust<Item>(), groups: ['work'] })
      await rejection(
        bus.start(consumer(other, 'work', { ...TRANSACTIONAL, batch: { max: 10, wait: '10ms', handler: () => {} } })),
        'UNSUPPORTED',
      )
      assert.deepEqual(out.seen, [])
    },
  },
]
