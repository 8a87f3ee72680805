import assert from 'node:assert/strict'
import { bytes, channel, type Message, text, trust, type WireMessage } from '@polybus/core'
import { able, type Case, foreign } from '../case.ts'
import type { Env } from '../env.ts'
import { rejection } from '../wait.ts'
import { comparable, sameBytes } from './driver-tools.ts'

const binaryChannel = (env: Env, maxBytes?: number) =>
  env.known(channel(env.name(), { schema: trust<Uint8Array>(), codec: bytes, groups: ['work'], maxBytes }))

async function receiveBodies(env: Env, bodies: readonly Uint8Array[], maxBytes?: number): Promise<void> {
  const flow = binaryChannel(env, maxBytes)
  const bus = await env.bus()
  const received = new Map<string, { value: Uint8Array; message: Message }>()
  await bus.start(
    env.consumer(flow, 'work', { handler: (value, { message }) => received.set(message.id, { value, message }) }),
  )
  await Promise.all(bodies.map((body, index) => env.publishValue(bus, flow, body, { id: `b-${index}` })))
  await env.handled(flow, 'work')
  for (const [index, body] of bodies.entries()) {
    const got = received.get(`b-${index}`)
    sameBytes(got?.message.body, body, `body ${index}`)
    sameBytes(got?.value, body, `value ${index}`)
  }
}

export const cases: readonly Case[] = [
  {
    id: '1a',
    title: 'bodies arrive byte for byte: empty, one byte, every byte value, 64 KiB',
    tier: 'plain',
    run: (env) =>
      receiveBodies(env, [
        new Uint8Array(0),
        Uint8Array.of(0),
        Uint8Array.from({ length: 256 }, (_, index) => index),
        Uint8Array.from({ length: 64 * 1024 }, (_, index) => (index * 31) % 251),
      ]),
  },
  {
    id: '1b',
    title: 'the largest message and one byte less arrive; one byte more is refused before sending, alone',
    tier: 'plain',
    async run(env) {
      const maxBytes = Math.min(256 * 1024, env.plain.maxBytes ?? Infinity)
      const flow = binaryChannel(env, maxBytes)
      const sent: WireMessage[] = []
      const adapter = env.open({ sending: (batch) => void sent.push(...batch.map(({ message }) => message)) })
      const bus = await env.bus({ adapter })
      const sizes = new Map<string, number>()
      await bus.start(
        env.consumer(flow, 'work', { handler: (value, { message }) => sizes.set(message.id, value.length) }),
      )
      const publish = (id: string, length: number): Promise<unknown> =>
        env.publishValue(bus, flow, new Uint8Array(length).fill(7), { id })
      await publish('size-p', 0)
      const [probe] = sent
      assert.ok(probe)
      // By the adapter's own count: some brokers encode bodies.
      let [largest, tooLarge] = [0, maxBytes + 1]
      while (tooLarge - largest > 1) {
        const middle = (largest + tooLarge) >> 1
        if (adapter.size({ ...probe, body: new Uint8Array(middle) }) <= maxBytes) largest = middle
        else tooLarge = middle
      }
      const tooLong = publish('size-1', largest + 1)
      const results = await Promise.allSettled([
        publish('size-0', largest),
        tooLong,
        publish('size-2', largest - 1),
        publish('size-3', 10),
      ])
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
      )
      const error = await rejection(tooLong, 'MESSAGE_TOO_LARGE')
      assert.equal(error.sent, 'no')
      assert.equal(error.retryable, false)
      assert.ok(!sent.some(({ id }) => id === 'size-1'), 'it never went to the broker')
      await env.handled(flow, 'work')
      assert.equal(sizes.get('size-0'), largest)
      assert.equal(sizes.get('size-2'), largest - 1)
    },
  },
  {
    id: '1c',
    title: 'unicode in keys, headers and text arrives as it was',
    tier: 'plain',
    async run(env) {
      const values = ['', 'plain', 'é ü ß', '鍵は秘密', '🔑🔐', 'a\nb\tc"\\', 'e\u0301']
      const flow = env.known(
        channel(env.name(), { schema: trust<string>(), codec: text, groups: ['work'], key: (value) => `key-${value}` }),
      )
      const bus = await env.bus()
      const seen = new Map<string, { value: string; message: Message }>()
      await bus.start(
        env.consumer(flow, 'work', { handler: (value, { message }) => seen.set(message.id, { value, message }) }),
      )
      const header = (value: string): Record<string, string> => ({
        'x-text': value === '' && !env.keyed.headers.empty ? '-' : value.replaceAll('\n', ' '),
      })
      await Promise.all(
        values.map((value, index) => env.publishValue(bus, flow, value, { id: `u-${index}`, headers: header(value) })),
      )
      await env.handled(flow, 'work')
      for (const [index, value] of values.entries()) {
        const got = seen.get(`u-${index}`)
        assert.equal(got?.value, value)
        assert.equal(got?.message.key, `key-${value}`)
        assert.equal(got?.message.headers['x-text'], header(value)['x-text'])
      }
    },
  },
  {
    id: '1d',
    title:
      'id, source, type, time, content type, correlation and causation arrive; publishing from a handler continues them',
    tier: 'plain',
    async run(env) {
      const first = env.channel()
      const second = env.channel()
      const bus = await env.bus({ service: 'shop' })
      const messages: Message[] = []
      await bus.start(
        env.consumer(first, 'work', {
          async handler(item, ctx) {
            messages.push(ctx.message)
            await ctx.publish(second, item, { id: 'second' })
          },
        }),
        env.consumer(second, 'work', { handler: (_, { message }) => void messages.push(message) }),
      )
      const before = env.clock.wall()
      await env.publish(bus, first, env.item(undefined, { id: 'first' }), { correlationId: 'order-1' })
      await env.waitFor(() => messages.length === 2, 'both messages')
      const [one, two] = messages
      assert.ok(one && two)
      assert.deepEqual(
        [one.id, one.source, one.type, one.contentType, one.correlationId, one.causationId],
        ['first', 'shop', first.name, 'application/json', 'order-1', undefined],
      )
      assert.ok(Math.abs(one.time.getTime() - before) < 10_000, 'the time is now')
      assert.notEqual(one.position, '')
      assert.deepEqual([two.id, two.correlationId, two.causationId], ['second', 'order-1', 'first'])
    },
  },
  {
    id: '1e',
    title: 'headers of a foreign message are all there, in order, as far as the broker carries them',
    tier: 'plain',
    needs: foreign,
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const messages: Message[] = []
      await bus.start(env.consumer(flow, 'work', { handler: (_, { message }) => void messages.push(message) }))
      const { headers: can } = env.plain
      const headers = [
        ['a', '1'],
        ...(can.duplicates ? ([['a', '2']] as const) : []),
        ...(can.empty ? ([['empty', '']] as const) : []),
        ...(can.binary ? ([['bytes', Uint8Array.of(0, 128, 255)]] as const) : []),
      ] as const
      await env.foreign?.send(flow.name, { body: Buffer.from('{"n":1}'), headers })
      await env.waitFor(() => messages.length === 1, 'the foreign message')
      assert.deepEqual(comparable(messages[0]?.rawHeaders ?? [], can), comparable(headers, can))
      assert.equal(messages[0]?.headers['a'], can.duplicates ? '2' : '1', 'of several with one name the last')
      assert.notEqual(messages[0]?.id, '')
    },
  },
  {
    id: '1f',
    title: 'a tombstone reaches the handler as a null body',
    tier: 'plain',
    needs: (facts) => foreign(facts) ?? able('tombstones', ({ plain }) => plain.tombstones)(facts),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const seen: (Uint8Array | null)[] = []
      await bus.start(
        env.consumer(flow, 'work', { retry: false, handler: (_, { message }) => void seen.push(message.body) }),
      )
      await env.foreign?.send(flow.name, { key: 'k', body: null })
      await env.foreign?.send(flow.name, { body: Buffer.from('{"n":2}') })
      await env.waitFor(() => seen.length === 2, 'the tombstone and its neighbour')
      assert.ok(seen.includes(null))
    },
  },
]
