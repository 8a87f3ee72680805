import assert from 'node:assert/strict'
import { PolybusError, type Receipt, type Result } from '@polybus/core'
import { all, type Case, faults } from '../case.ts'
import type { Env, Item, ItemChannel } from '../env.ts'
import { gate, rejection } from '../wait.ts'
import { goDown } from './outage.ts'

const refused = (results: readonly PromiseSettledResult<unknown>[]): readonly string[] =>
  results.flatMap((result) =>
    result.status === 'rejected'
      ? [PolybusError.is(result.reason) ? `${result.reason.code} ${result.reason.sent}` : String(result.reason)]
      : [],
  )

/** Nothing of what was rejected arrives, while what comes later does. */
async function neverDelivered(env: Env, flow: ItemChannel, items: readonly Item[]): Promise<void> {
  const bus = await env.bus()
  await bus.start(env.consumer(flow, 'work'))
  await env.publish(bus, flow, env.item('last'))
  await env.handled(flow, 'work')
  for (const { id } of items) assert.deepEqual(env.runs(flow, 'work', id), [], `${id} was never sent`)
}

export const cases: readonly Case[] = [
  {
    id: '10a',
    title: 'one entry in ten that is too large rejects alone',
    tier: 'plain',
    async run(env) {
      const flow = env.channel({ maxBytes: 4096 })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      const items = env.items(10).map((item, index) => (index === 4 ? { ...item, text: 'x'.repeat(5000) } : item))
      const results = await Promise.allSettled(items.map((item) => env.publish(bus, flow, item)))
      assert.deepEqual(refused(results), ['MESSAGE_TOO_LARGE no'])
      await env.handled(flow, 'work')
      assert.equal(env.runs(flow, 'work').length, 9)
    },
  },
  {
    id: '10b',
    title: 'one entry in ten that the broker refuses for good rejects alone, at once',
    tier: 'fault',
    settles: true,
    needs: faults('refuse'),
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      const items = env.items(10, 2)
      const undo = await env.faults.refuse?.(({ message }) =>
        message.id === items[4]?.id ? new PolybusError('BROKER_REFUSED') : undefined,
      )
      const start = env.clock.now()
      const results = await Promise.allSettled(items.map((item) => env.publish(bus, flow, item)))
      assert.ok(env.clock.now() - start < env.limit(5000), 'without waiting for the deadline')
      await undo?.()
      assert.deepEqual(
        refused(results).map((text) => text.split(' ')[0]),
        ['BROKER_REFUSED'],
      )
      assert.equal(results[4]?.status, 'rejected')
      await env.handled(flow, 'work')
      assert.equal(env.runs(flow, 'work').length, 9)
    },
  },
  {
    id: '10c',
    title: 'thousands of messages with 256 in flight: all resolved, all there, none twice',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      let batched = 0
      const publisher = await env.bus({
        watcher: { sending: (batch) => void (batched = Math.max(batched, batch.length)) },
      })
      await bus.start(env.consumer(flow, 'work', { concurrency: 64 }))
      const count = env.size(3000, 10_000)
      await env.publishAll(publisher, flow, env.items(count), 256)
      await env.handled(flow, 'work', 30_000)
      assert.equal(env.runs(flow, 'work').length, count)
      if (publisher && env.adapter.limits.messages > 1) assert.ok(batched > 1, 'concurrent publishes share batches')
    },
  },
  {
    id: '10d',
    title: 'a publish resolves only when the broker has confirmed it',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const answered = new Set<string>()
      const hold = gate()
      let held = false
      const watcher = {
        sent: (outgoing: { message: { id: string | undefined } }, result: Result<Receipt> | undefined) =>
          void (result?.ok && answered.add(outgoing.message.id ?? '')),
      }
      const adapter = env.open(watcher)
      const { send } = adapter
      const slow = Object.create(adapter, {
        send: {
          async value(...args: Parameters<typeof send>) {
            held = true
            await hold.passed
            return send(...args)
          },
        },
      }) as typeof adapter
      const bus = await env.bus({ adapter: slow })
      const item = env.item()
      let resolved = false
      const publishing = env.publish(bus, flow, item).then((receipt) => {
        resolved = true
        assert.ok(answered.has(item.id), 'the broker had answered')
        return receipt
      })
      await env.waitFor(() => held, 'the send')
      for (let turn = 0; turn < 20; turn++) await env.clock.turn()
      assert.equal(resolved, false)
      hold.open()
      const receipt = await publishing
      assert.equal(receipt.id, item.id)
    },
  },
  {
    id: '15a',
    title: 'publishing while disconnected past its deadline rejects as certainly not sent',
    tier: 'fault',
    needs: faults('down', 'up'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await env.publish(bus, flow, env.item())
      await goDown(env, bus, flow)
      const items = env.items(5)
      const start = env.clock.now()
      const results = await Promise.allSettled(items.map((item) => env.publish(bus, flow, item, { timeout: '300ms' })))
      const took = env.clock.now() - start
      assert.ok(took >= 290 && took < env.limit(3000), `the deadline is kept: ${took} ms`)
      for (const text of refused(results)) assert.match(text, /^(PUBLISH_TIMEOUT|CONNECTION_FAILED) no$/)
      assert.equal(refused(results).length, 5)
      await env.faults.up?.()
      await neverDelivered(env, flow, items)
    },
  },
  {
    id: '15b',
    title: 'publishing after close, or with an aborted signal, rejects as certainly not sent',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const items = env.items(3)
      const [aborted, late] = items
      assert.ok(aborted && late)
      const error = await rejection(env.publish(bus, flow, aborted, { signal: AbortSignal.abort() }), 'ABORTED')
      assert.equal(error.sent, 'no')
      await bus.close()
      const closed = await rejection(env.publish(bus, flow, late), 'CLOSED')
      assert.equal(closed.sent, 'no')
      await neverDelivered(env, flow, items)
    },
  },
  {
    id: '15c',
    title: 'a signal that aborts while the publish waits rejects it as certainly not sent',
    tier: 'fault',
    needs: faults('down', 'up'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await env.publish(bus, flow, env.item())
      await goDown(env, bus, flow)
      const stop = new AbortController()
      const item = env.item()
      const publishing = rejection(env.publish(bus, flow, item, { signal: stop.signal }), 'ABORTED')
      await env.clock.turn()
      stop.abort()
      assert.equal((await publishing).sent, 'no')
      await env.faults.up?.()
      await neverDelivered(env, flow, [item])
    },
  },
  {
    id: '15d',
    title: 'a full buffer waits, rejects or drops the oldest, as configured; what is refused is never delivered',
    tier: 'fault',
    needs: all(faults('down', 'up')),
    async run(env) {
      const flow = env.channel()
      for (const whenFull of ['reject', 'drop-oldest', 'wait'] as const) {
        const bus = await env.bus({ publishing: { bufferMessages: 3, whenFull } })
        await env.publish(bus, flow, env.item())
        await goDown(env, bus, flow)
        const items = env.items(5)
        const publishing = Promise.allSettled(items.map((item) => env.publish(bus, flow, item)))
        for (let turn = 0; turn < 5; turn++) await env.clock.turn()
        await env.faults.up?.()
        const results = await publishing
        const outcomes = results.map((result) =>
          result.status === 'fulfilled'
            ? 'ok'
            : PolybusError.is(result.reason)
              ? `${result.reason.code} ${result.reason.sent}`
              : String(result.reason),
        )
        const expected = {
          reject: ['ok', 'ok', 'ok', 'BUFFER_FULL no', 'BUFFER_FULL no'],
          'drop-oldest': ['DROPPED no', 'DROPPED no', 'ok', 'ok', 'ok'],
          wait: ['ok', 'ok', 'ok', 'ok', 'ok'],
        }[whenFull]
        assert.deepEqual(outcomes, expected, whenFull)
        await bus.close()
      }
    },
  },
]
