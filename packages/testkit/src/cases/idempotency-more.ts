import assert from 'node:assert/strict'
import { fixed } from '@polybus/core'
import { able, all, type Case, faults, foreign } from '../case.ts'
import { gate, rejection } from '../wait.ts'
import { claimStore, transactionStore } from './stores.ts'

const retry = { attempts: 3, backoff: fixed('10ms') }

export const cases: readonly Case[] = [
  {
    id: '9f',
    title: 'an idempotency key of the payload makes equal what has different ids',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', { idempotency: store, retry, idempotencyKey: ({ text }) => text ?? '' }),
      )
      env.ledger.excuse(flow.name, 'work', { loss: true })
      const items = [
        env.item(undefined, { text: 'same' }),
        env.item(undefined, { text: 'same' }),
        env.item(undefined, { text: 'other' }),
      ]
      await env.publishAll(bus, flow, items, 1)
      await env.waitFor(
        () => env.events.some(({ kind }) => kind === 'duplicate') && env.ledger.handled(flow.name, 'work').length === 2,
        'one duplicate and two effects',
      )
      assert.equal(env.runs(flow, 'work').length, 2)
    },
  },
  {
    id: '9g',
    title: "a transactional store: the handler's writes and the mark are there together, or neither",
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const store = transactionStore()
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', {
          idempotency: store,
          retry,
          handler({ id }, { attempt, tx }) {
            ;(tx as { write(text: string): void }).write(`${id} ${attempt}`)
            if (attempt === 1) throw new Error('after the write')
          },
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.handled(flow, 'work')
      await env.publish(bus, flow, item)
      await env.waitFor(() => env.events.some(({ kind }) => kind === 'duplicate'), 'the duplicate')
      assert.deepEqual(store.written, [`${item.id} 2`], 'the rolled back write is not there')
    },
  },
  {
    id: '9h',
    title: 'duplicates among many, over two members: one effect each',
    tier: 'plain',
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const store = claimStore(() => env.clock.now())
      const publisher = await env.bus()
      for (const label of ['a', 'b'])
        await (
          await env.bus()
        ).start(
          env.consumer(flow, 'work', {
            label,
            idempotency: store,
            retry,
            concurrency: 8,
            handler: () => env.clock.turn(),
          }),
        )
      const items = env.items(env.size(200, 2000), 20)
      await env.publishAll(
        publisher,
        flow,
        items.flatMap((item, index) => (index % 3 === 0 ? [item, item] : [item])),
      )
      await env.handled(flow, 'work')
      const twice = items.filter((_, index) => index % 3 === 0).length
      await env.waitFor(
        () => env.events.filter(({ kind }) => kind === 'duplicate').length >= twice,
        () => `${twice} duplicates, got ${env.events.filter(({ kind }) => kind === 'duplicate').length}`,
      )
      assert.equal(env.runs(flow, 'work').length, items.length)
    },
  },
  {
    id: '9i',
    title: 'a foreign message without an id is known by its stable position',
    tier: 'fault',
    settles: true,
    needs: all(
      foreign,
      faults('loseLease'),
      able('lease that runs out', ({ plain }) => plain.lease.ms !== null),
    ),
    async run(env) {
      const flow = env.channel()
      const store = claimStore(() => env.clock.now())
      const bus = await env.bus()
      const ids = new Set<string>()
      const open = gate()
      await bus.start(
        env.consumer(flow, 'work', {
          idempotency: store,
          retry,
          async handler(_, { message }) {
            ids.add(message.id)
            await open.passed
          },
        }),
      )
      await env.foreign?.send(flow.name, { body: Buffer.from('{"n":1}') })
      await env.waitFor(() => env.runs(flow, 'work').length === 1, 'the message')
      await env.faults.loseLease?.()
      open.open()
      await env.waitFor(() => env.ledger.handled(flow.name, 'work').length === 1, 'an effect')
      await env.waitFor(
        async () =>
          ((await bus.stats(flow, 'work')).inFlight ?? 0) === 0 && ((await bus.stats(flow, 'work')).backlog ?? 0) === 0,
        'all to be settled',
      )
      assert.equal(ids.size, 1, 'the id is the same at each delivery')
    },
  },
  {
    id: '9j',
    title: 'at-most-once with a store contradicts itself and is refused',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const start = async (): Promise<unknown> =>
        bus.start(
          env.consumer(flow, 'work', { idempotency: claimStore(() => env.clock.now()), delivery: 'at-most-once' }),
        )
      await rejection(start(), 'UNSUPPORTED', 'INVALID_OPTION')
    },
  },
]
