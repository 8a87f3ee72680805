import assert from 'node:assert/strict'
import { channel, consumer, type Message, type PolybusError, type PublishOptions, trust } from '@polybus/core'
import { able, type Case } from '../case.ts'
import type { Env } from '../env.ts'
import { rejection } from '../wait.ts'

/** The text names the adapter and the way out. */
function helpful(env: Env, error: PolybusError): void {
  assert.match(error.message, new RegExp(env.harness.name))
  assert.match(error.message, /Nearest: |\b(use|set|give|instead)\b/i, `it says what to do: ${error.message}`)
}

const unsupportedPublish = (
  id: string,
  what: string,
  options: PublishOptions,
  can: (env: { plain: { delayedPublish: boolean; priority: boolean } }) => boolean,
): Case => ({
  id,
  title: `publishing with ${what} is refused where the adapter cannot`,
  tier: 'plain',
  needs: (facts) => (can(facts) ? `the adapter can do ${what}` : undefined),
  async run(env) {
    const flow = env.channel()
    const bus = await env.bus()
    const item = env.item()
    const error = await rejection(env.publish(bus, flow, item, options), 'UNSUPPORTED')
    helpful(env, error)
    assert.equal(error.sent, 'no')
    await bus.start(env.consumer(flow, 'work'))
    await env.publish(bus, flow, env.item())
    await env.handled(flow, 'work')
    assert.deepEqual(env.runs(flow, 'work', item.id), [])
  },
})

export const cases: readonly Case[] = [
  unsupportedPublish('14a', 'a delay', { delay: '1m' }, ({ plain }) => plain.delayedPublish),
  unsupportedPublish('14b', 'a priority', { priority: 5 }, ({ plain }) => plain.priority),
  {
    id: '14c',
    title: "delivery: 'transactional' is refused where the adapter cannot",
    tier: 'plain',
    needs: ({ plain }) => (plain.transactional ? 'the adapter can do transactions' : undefined),
    async run(env) {
      const flow = env.channel({ groups: [] })
      const bus = await env.bus()
      helpful(
        env,
        await rejection(
          bus.start(consumer(flow, 'work', { delivery: 'transactional', handler: () => {} })),
          'UNSUPPORTED',
        ),
      )
    },
  },
  {
    id: '14d',
    title: 'a released wait is refused where the broker keeps no delay',
    tier: 'plain',
    needs: ({ plain }) => (plain.delay.kind === 'none' ? undefined : 'the adapter keeps delays'),
    async run(env) {
      const flow = env.channel({ groups: [] })
      const bus = await env.bus()
      helpful(
        env,
        await rejection(
          bus.start(consumer(flow, 'work', { retry: { attempts: 2, wait: 'released' }, handler: () => {} })),
          'UNSUPPORTED',
        ),
      )
    },
  },
  {
    id: '14e',
    title: 'rewinding is refused where the adapter cannot',
    tier: 'plain',
    needs: ({ plain }) => (plain.rewind.length === 0 ? undefined : 'the adapter can rewind'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      helpful(env, await rejection(bus.rewind(flow, 'work', { to: 'beginning', dedupe: 'keep' }), 'UNSUPPORTED'))
    },
  },
  {
    id: '14f',
    title: 'two consumers of one channel and group on one bus are refused',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      await rejection(bus.start(env.consumer(flow, 'work')), 'DUPLICATE_CONSUMER')
      await env.publishAll(bus, flow, env.items(5))
      await env.handled(flow, 'work')
    },
  },
  {
    id: '14g',
    title: "nonsense options fail at once, with the field's name",
    tier: 'plain',
    async run(env) {
      const flow = channel(env.name(), { schema: trust<{ n: number }>(), groups: ['work'] })
      const make = (policy: object) => () => consumer(flow, 'work', { handler: () => {}, ...policy })
      const nonsense: readonly [field: RegExp, run: () => unknown][] = [
        [/attempts/, make({ retry: { attempts: -1 } })],
        [/attempts/, make({ retry: { attempts: 1.5 } })],
        [/concurrency/, make({ concurrency: 0 })],
        [/timeout/, make({ timeout: '5 parsecs' })],
        [/retires/, make({ retires: 3 })],
        [/handler/, make({ handler: undefined })],
        [/schema/, () => channel('x', { schema: {} as never })],
        [/name/, () => channel('No Name', { schema: trust() })],
      ]
      for (const [field, run] of nonsense)
        await rejection((async () => run())(), 'INVALID_OPTION').then(({ message }) => assert.match(message, field))
      const bad: readonly [field: RegExp, options: object][] = [
        [/namespase/, { namespase: 'x' }],
        [/bufferMessages/, { publishing: { bufferMessages: -1 } }],
        [/grace/, { grace: 'soon' }],
      ]
      for (const [field, options] of bad)
        await rejection(env.bus(options), 'INVALID_OPTION').then(({ message }) => assert.match(message, field))
    },
  },
  {
    id: '14h',
    title: 'at-most-once: acknowledged before the handler, one attempt, failures counted',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const acked = new Set<string>()
      const early: string[] = []
      const watcher = {
        settled: (
          _: unknown,
          delivery: { message: { id: string | undefined } } | undefined,
          __: unknown,
          result: { ok: boolean } | undefined,
        ) => void (result?.ok && acked.add(delivery?.message.id ?? '')),
      }
      const bus = await env.bus({ watcher })
      env.ledger.excuse(flow.name, 'work', { loss: true })
      await bus.start(
        env.consumer(flow, 'work', {
          delivery: 'at-most-once',
          handler({ id, n }, { message }: { message: Message }) {
            if (!acked.has(message.id)) early.push(id)
            if (n % 2 === 0) throw new Error('even')
          },
        }),
      )
      const items = env.items(10)
      await env.publishAll(bus, flow, items)
      await env.waitFor(() => env.runs(flow, 'work').length === 10, 'ten handlers')
      await env.waitFor(
        () => env.events.filter(({ kind }) => kind === 'failed' || kind === 'discard').length === 5,
        'five failures to be counted',
      )
      assert.deepEqual(early, [], 'none ran before its acknowledgement was confirmed')
      assert.equal(env.runs(flow, 'work').length, 10)
    },
  },
  {
    id: '14i',
    title: 'rewinding runs messages again; dedupe says whether the store forgets',
    tier: 'plain',
    needs: able('rewind', ({ plain }) => plain.rewind.includes('beginning')),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      const items = env.items(10)
      await env.publishAll(bus, flow, items)
      await env.handled(flow, 'work')
      await bus.rewind(flow, 'work', { to: 'beginning', dedupe: 'keep' })
      await env.waitFor(
        () => env.runs(flow, 'work').length === 20,
        () => `all to run again, got ${env.runs(flow, 'work').length}`,
      )
    },
  },
]
