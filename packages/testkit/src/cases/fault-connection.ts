import assert from 'node:assert/strict'
import { PolybusError, sleep } from '@polybus/core'
import { all, type Case, faults } from '../case.ts'
import { rejection } from '../wait.ts'
import { consuming, goDown, steadily } from './outage.ts'
import { claimStore } from './stores.ts'

const retry = { attempts: 5 }

export const cases: readonly Case[] = [
  {
    id: '17a',
    title:
      'broker down: publishes wait for it or reject by their deadline; consuming goes on by itself; the process lives',
    tier: 'fault',
    needs: faults('down', 'up'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { retry }))
      await env.publishAll(bus, flow, env.items(50))
      await env.handled(flow, 'work')
      await env.faults.down?.()
      await env.waitFor(() => bus.health().status === 'down', 'health to be down', env.limit(5000))
      const waiting = env.items(20).map((item) => env.publish(bus, flow, item))
      const impatient = rejection(
        env.publish(bus, flow, env.item(), { timeout: '200ms' }),
        'PUBLISH_TIMEOUT',
        'CONNECTION_FAILED',
      )
      assert.equal((await impatient).sent, 'no')
      await sleep(env.clock, env.size(1200, 20_000), env.signal)
      assert.equal(bus.health().status, 'down')
      await env.faults.up?.()
      const back = env.clock.now()
      await Promise.all(waiting)
      await env.handled(flow, 'work')
      const took = Math.round(env.clock.now() - back)
      assert.ok(took < env.limit(5000), `all resumed after ${took} ms`)
      await env.waitFor(
        () => bus.health().status === 'up',
        () => `health to be up: ${bus.health().reasons.join('; ')}`,
        5000,
      )
      assert.ok(
        env.events.some(({ kind }) => kind === 'reconnect'),
        'the reconnect is told',
      )
    },
  },
  {
    id: '17b',
    title: 'restarts in a row under load: the right number of consumers each time',
    tier: 'fault',
    needs: faults('down', 'up'),
    async run(env) {
      const flow = env.channel()
      const publisher = await env.bus()
      const consumer = await consuming(env, flow)
      const load = steadily(env, (item) => env.publish(publisher, flow, item))
      for (let restart = 0; restart < env.size(4, 10); restart++) {
        const { subscribed } = consumer
        const before = env.runs(flow, 'work').length
        await env.faults.down?.()
        await env.clock.turn()
        await env.faults.up?.()
        await env.waitFor(
          () =>
            consumer.subscribed > subscribed ||
            (env.harness.feedsOutliveCuts && env.runs(flow, 'work').length > before + 5),
          `consuming to go on after restart ${restart + 1}`,
        )
        const seen = env.runs(flow, 'work').length
        await env.waitFor(
          () => env.runs(flow, 'work').length > seen + 5,
          `messages to flow after restart ${restart + 1}`,
          8000,
        )
        assert.equal(consumer.open, 1, 'one consumer')
      }
      assert.equal(await load.stop(), 0, 'every publish waited for the broker')
      await env.handled(flow, 'work')
    },
  },
  {
    id: '17c',
    title: 'while the broker is down the publish buffer is bounded',
    tier: 'fault',
    needs: faults('down', 'up'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus({ publishing: { bufferMessages: 100, whenFull: 'reject' } })
      await env.publish(bus, flow, env.item())
      await goDown(env, bus, flow)
      const publishing = Promise.allSettled(env.items(500).map((item) => env.publish(bus, flow, item)))
      for (let turn = 0; turn < 5; turn++) await env.clock.turn()
      await env.faults.up?.()
      const results = await publishing
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 100)
      await bus.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
    },
  },
  {
    id: '18a',
    title: 'a cut before the answer: the publish is sent again with its id and resolves, or says that it is uncertain',
    tier: 'fault',
    needs: faults('loseAnswer'),
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const sent = new Map<string, number>()
      const bus = await env.bus({
        watcher: {
          sending: (batch) =>
            batch.forEach(({ message }) => sent.set(message.id ?? '', (sent.get(message.id ?? '') ?? 0) + 1)),
        },
      })
      const store = claimStore(() => env.clock.now())
      await (await env.bus()).start(env.consumer(flow, 'work', { idempotency: store, retry }))
      await env.publish(bus, flow, env.item('k0'))
      await env.faults.loseAnswer?.(3)
      // Several equal batches in flight.
      const items = env.items(env.size(600, 3000), 30)
      const results = await Promise.allSettled(items.map((item) => env.publish(bus, flow, item)))
      for (const result of results)
        if (result.status === 'rejected')
          assert.ok(
            PolybusError.is(result.reason, 'PUBLISH_UNCERTAIN') && result.reason.sent === 'unknown',
            String(result.reason),
          )
      assert.ok(
        [...sent.values()].some((count) => count > 1),
        'something was sent again under its id',
      )
      await env.handled(flow, 'work')
      assert.equal(
        new Set(env.runs(flow, 'work').map(({ id }) => id)).size,
        items.length + 1,
        'no id but those of the publishes',
      )
    },
  },
  {
    id: '18b',
    title: 'uncertainty sticks: an answer that was lost is never called certainly not sent',
    tier: 'fault',
    needs: all(faults('loseAnswer', 'down', 'up')),
    async run(env) {
      const flow = env.channel()
      let down: Promise<void> | undefined
      // Down as soon as the answer is lost, so that no retry gets through.
      const bus = await env.bus({
        watcher: { sent: (_, result) => void (result?.ok || (down ??= Promise.resolve(env.faults.down?.()))) },
      })
      await env.publish(bus, flow, env.item())
      await env.faults.loseAnswer?.(1)
      const outcome = await rejection(env.publish(bus, flow, env.item(), { timeout: '600ms' }), 'PUBLISH_UNCERTAIN')
      await down
      await env.faults.up?.()
      assert.equal(outcome.sent, 'unknown')
    },
  },
  {
    id: '18c',
    title: 'cuts under load: what resolved is there, whatever else happened',
    tier: 'fault',
    needs: faults('cut'),
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const bus = await env.bus()
      await (await env.bus()).start(env.consumer(flow, 'work', { retry, concurrency: 8 }))
      const publishing = env.publishAll(bus, flow, env.items(env.size(500, 5000), 20), 32)
      for (let cut = 0; cut < 4; cut++) {
        const seen = env.runs(flow, 'work').length
        await env.faults.cut?.()
        await env.waitFor(
          () => env.runs(flow, 'work').length > seen || env.ledger.open(flow.name, 'work').length === 0,
          'messages to flow again',
          8000,
        )
      }
      await publishing
      await env.handled(flow, 'work')
    },
  },
  {
    id: '17f',
    title: 'a bus that is idle notices that its connection is gone: health says so, and it is back by itself',
    tier: 'fault',
    needs: faults('down', 'up'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await env.publish(bus, flow, env.item())
      await env.faults.down?.()
      await env.waitFor(
        () => bus.health().status === 'down',
        () => `health to be down: ${JSON.stringify(bus.health())}`,
      )
      await env.faults.up?.()
      await env.waitFor(
        () => bus.health().status !== 'down',
        () => `health to be up again: ${JSON.stringify(bus.health())}`,
      )
      // Whoever looks finds the new connection.
      const { deadLetters } = await bus.stats(flow, 'work')
      if (env.plain.stats.deadLetters !== null) assert.equal(deadLetters, 0)
      await bus.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
    },
  },
]
