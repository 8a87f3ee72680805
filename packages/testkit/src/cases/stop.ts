import assert from 'node:assert/strict'
import { type Case } from '../case.ts'
import { gate, rejection } from '../wait.ts'

export const cases: readonly Case[] = [
  {
    id: '13a',
    title:
      'close amid a batch: no handler starts afterwards, finished work is settled, the rest is delivered elsewhere',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const open = gate()
      const items = env.items(30)
      await env.publishAll(bus, flow, items)
      await bus.start(env.consumer(flow, 'work', { label: 'first', concurrency: 4, handler: () => open.passed }))
      await env.waitFor(() => env.runs(flow, 'work').length === 4, 'four handlers')
      const closing = bus.close({ grace: '5s' })
      for (let turn = 0; turn < 10; turn++) await env.clock.turn()
      open.open()
      await closing
      const first = env.runs(flow, 'work').map(({ id }) => id)
      assert.equal(first.length, 4, 'no handler started after close')
      assert.equal(env.ledger.handled(flow.name, 'work').length, 4, 'the running ones finished')
      const other = await env.bus()
      await other.start(env.consumer(flow, 'work', { label: 'second' }))
      await env.handled(flow, 'work')
      const second = env.runs(flow, 'work').filter(({ consumer }) => consumer === 'second')
      assert.equal(second.length, 26, 'what was finished was settled')
      assert.ok(
        second.every(({ attempt }) => attempt === 1),
        'what was released lost no attempt',
      )
    },
  },
  {
    id: '13b',
    title: 'close ends within grace + 1 s although a handler never ends; twice is harmless',
    tier: 'fault',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const never = gate()
      let aborted = false
      await bus.start(
        env.consumer(flow, 'work', {
          label: 'first',
          handler(_, { signal }) {
            signal.addEventListener('abort', () => (aborted = true))
            return never.passed
          },
        }),
      )
      await env.publish(bus, flow, env.item())
      await env.waitFor(() => env.runs(flow, 'work').length === 1, 'the handler')
      const start = env.clock.now()
      await Promise.all([bus.close({ grace: '300ms' }), bus.close({ grace: '300ms' })])
      const took = env.clock.now() - start
      assert.ok(took >= 290 && took <= 300 + env.limit(1000), `it took ${took} ms`)
      assert.ok(aborted, 'the signal aborted when the grace was over')
      await bus.close()
      const other = await env.bus()
      await other.start(env.consumer(flow, 'work', { label: 'second' }))
      await env.waitFor(
        () => env.runs(flow, 'work').some(({ consumer }) => consumer === 'second'),
        'the rest elsewhere',
        env.timing.patienceMs + env.timing.leaseMs,
      )
      never.open()
    },
  },
  {
    id: '13c',
    title: 'stop ends consuming, publishing works; close ends all',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      await env.publishAll(bus, flow, env.items(5))
      await env.handled(flow, 'work')
      await bus.stop()
      await env.publishAll(bus, flow, env.items(5))
      assert.equal(env.runs(flow, 'work').length, 5)
      await bus.close()
      await rejection(bus.publish(flow, env.item()), 'CLOSED')
      const other = await env.bus()
      await other.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
      assert.equal(env.runs(flow, 'work').length, 10)
    },
  },
  {
    id: '13d',
    title: 'a running handler may still publish while the bus closes, and close waits for these publishes',
    tier: 'plain',
    async run(env) {
      const [flow, next] = [env.channel(), env.channel()]
      const bus = await env.bus()
      const open = gate()
      let id = ''
      await bus.start(
        env.consumer(flow, 'work', {
          async handler(item, ctx) {
            await open.passed
            await ctx.publish(next, item, { id: `next-${item.id}` })
            ;({ id } = item)
          },
        }),
      )
      await env.publish(bus, flow, env.item())
      await env.waitFor(() => env.runs(flow, 'work').length === 1, 'the handler')
      const closing = bus.close()
      await env.clock.turn()
      open.open()
      await closing
      assert.notEqual(id, '')
      const other = await env.bus()
      await other.start(env.consumer(next, 'work'))
      await env.waitFor(
        () => env.ledger.handled(next.name, 'work').includes(`next-${id}`),
        'what the handler published',
      )
    },
  },
  {
    id: '13e',
    title: 'publishes on their way are confirmed before close ends',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const publishing = Promise.allSettled(env.items(200).map((item) => env.publish(bus, flow, item)))
      await bus.close()
      const results = await publishing
      assert.ok(
        results.every(({ status }) => status === 'fulfilled'),
        'what was accepted before close went out',
      )
      const other = await env.bus()
      await other.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
    },
  },
]
