import assert from 'node:assert/strict'
import { channel, type Codec, consumer, fixed, json, PolybusError, type Schema, trust, types } from '@polybus/core'
import { all, browsing, type Case, foreign } from '../case.ts'
import type { Env } from '../env.ts'
import { rejection } from '../wait.ts'
import { sameBytes, sorted } from './driver-tools.ts'

interface Amount {
  readonly id: string
  readonly cents: number
}
const amount: Schema<Amount> = {
  '~standard': {
    version: 1,
    vendor: 'suite',
    validate: (value) =>
      typeof (value as Amount | null)?.cents === 'number'
        ? { value: value as Amount }
        : { issues: [{ message: 'cents is no number', path: ['cents'] }] },
  },
}

/** As schema registries frame: a zero byte first. */
const framed: Codec = {
  contentType: 'application/x-framed',
  encode: (value) => Buffer.concat([Buffer.of(0), json.encode(value)]),
  decode(body) {
    if (body[0] !== 0) throw new PolybusError('DECODE_FAILED', `unknown magic byte ${body[0]}`)
    return json.decode(body.subarray(1))
  },
}

async function badOnes(env: Env, codec: Codec, bad: readonly { body: Uint8Array; reason: string }[]): Promise<void> {
  const flow = env.known(channel(env.name(), { schema: amount, codec, groups: ['work'] }))
  const bus = await env.bus()
  await bus.start(env.consumer(flow, 'work'))
  const good = (id: string): Promise<unknown> => env.publishValue(bus, flow, { id, cents: 1 }, { id })
  await good('before')
  for (const { body } of bad) await env.foreign?.send(flow.name, { body, contentType: codec.contentType })
  await good('after')
  await env.handled(flow, 'work')
  assert.deepEqual(
    sorted(env.ledger.handled(flow.name, 'work')),
    ['after', 'before'],
    'the neighbours flow, the bad ones never reach the handler',
  )
  const letters: { reason: string; attempts: number; body: Uint8Array | null; value: unknown; text: string }[] = []
  await env.waitFor(
    async () => {
      letters.length = 0
      for await (const { reason, attempts, message, value, error } of bus.deadLetters(flow, 'work').list())
        letters.push({ reason, attempts, body: message.body, value, text: error.message })
      return letters.length === bad.length
    },
    () => `${bad.length} dead letters, got ${letters.length}`,
  )
  const order = (list: readonly { body: Uint8Array | null }[]): readonly Uint8Array[] =>
    list.map(({ body }) => body ?? new Uint8Array(0)).sort(Buffer.compare)
  for (const [index, body] of order(letters).entries()) sameBytes(body, order(bad)[index] ?? null, 'raw bytes')
  for (const letter of letters) {
    const cause = bad.find(({ body }) => Buffer.compare(body, letter.body ?? new Uint8Array(0)) === 0)
    assert.equal(letter.reason, cause?.reason)
    assert.ok(letter.attempts <= 1, `${letter.attempts} attempts`)
    assert.notEqual(letter.text, '')
  }
}

export const cases: readonly Case[] = [
  {
    id: '7a',
    title:
      'what cannot be decoded or has the wrong shape is a dead letter at attempt 1, bytes kept, neighbours unaffected',
    tier: 'plain',
    needs: all(browsing, foreign),
    run: (env) =>
      badOnes(env, json, [
        { body: Buffer.from('{"cut'), reason: 'undecodable' },
        { body: Uint8Array.of(0xff, 0xfe, 0), reason: 'undecodable' },
        { body: new Uint8Array(0), reason: 'undecodable' },
        { body: Buffer.from('{"id":"x","cents":"1"}'), reason: 'invalid' },
        { body: Buffer.from('null'), reason: 'invalid' },
      ]),
  },
  {
    id: '7b',
    title: 'an unknown magic byte of a framed codec likewise',
    tier: 'plain',
    needs: all(browsing, foreign),
    run: (env) =>
      badOnes(env, framed, [
        { body: Uint8Array.of(7, 1, 2, 3), reason: 'undecodable' },
        { body: Buffer.of(), reason: 'undecodable' },
      ]),
  },
  {
    id: '7c',
    title: 'a bad value never leaves: the publish rejects, nothing is sent',
    tier: 'plain',
    async run(env) {
      const flow = env.known(channel(env.name(), { schema: amount, groups: ['work'] }))
      let sends = 0
      const bus = await env.bus({ watcher: { sending: (batch) => void (sends += batch.length) } })
      const error = await rejection(
        env.publishValue(bus, flow, { id: 'bad', cents: 'x' } as never, { id: 'bad' }),
        'INVALID_MESSAGE',
      )
      assert.equal(error.sent, 'no')
      assert.match(error.message, /cents/)
      assert.equal(sends, 0)
      await bus.start(env.consumer(flow, 'work'))
      await env.publishValue(bus, flow, { id: 'good', cents: 1 }, { id: 'good' })
      await env.handled(flow, 'work')
    },
  },
  {
    id: '7d',
    title:
      'a codec whose registry is away: consuming pauses and goes on by itself, no attempt is counted, nothing is a dead letter',
    tier: 'plain',
    async run(env) {
      let away = false
      const asking: Codec = {
        ...json,
        encode: async (value) => json.encode(value),
        decode: async (body) => {
          if (away) throw new PolybusError('REGISTRY_UNAVAILABLE', 'the registry is away')
          return json.decode(body)
        },
      }
      const flow = env.known(channel(env.name(), { schema: amount, codec: asking, groups: ['work'] }))
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { retry: { attempts: 2, backoff: fixed('5ms') } }))
      const publish = (from: number, to: number): Promise<unknown> =>
        Promise.all(
          Array.from({ length: to - from }, (_, n) => String(from + n)).map((id) =>
            env.publishValue(bus, flow, { id, cents: 1 }, { id }),
          ),
        )
      await publish(0, 5)
      await env.handled(flow, 'work')
      away = true
      await publish(5, 20)
      await env.waitFor(
        () => bus.health().reasons.some((reason) => reason.includes('the registry is away')),
        () => `health to say so: ${JSON.stringify(bus.health())}`,
      )
      const until = env.clock.now() + 500
      await env.waitFor(() => env.clock.now() > until, '')
      assert.equal(env.runs(flow, 'work').length, 5, 'nothing ran that could not be read')
      away = false
      await env.handled(flow, 'work')
      assert.ok(env.runs(flow, 'work').every(({ attempt }) => attempt === 1))
      assert.equal(env.events.filter(({ kind }) => kind === 'retry' || kind === 'dead-letter').length, 0)
      await env.waitFor(() => bus.health().status === 'up', 'health to be up again')
    },
  },
  {
    id: '7e',
    title: "a type that the channel does not know: a dead letter, ignored, or with '*', as each group says",
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const groups = ['dead', 'ignoring', 'all'] as const
      const name = env.name()
      const known = { paid: trust<{ id: string }>() }
      const flow = env.known(channel(name, { schema: types(known), groups }))
      const wider = channel(name, { schema: types({ ...known, refunded: trust<{ id: string }>() }), groups })
      const bus = await env.bus()
      const seen: Record<(typeof groups)[number], string[]> = { dead: [], ignoring: [], all: [] }
      const note = (group: (typeof groups)[number], text: string, id: string): void => {
        env.ledger.started(name, group, { id, attempt: 1, consumer: group })()
        seen[group].push(text)
      }
      await bus.start(
        consumer(flow, 'dead', ({ type }, { message }) => note('dead', type, message.id)),
        consumer(flow, 'ignoring', {
          unknownTypes: 'ignore',
          handler: ({ type }, { message }) => note('ignoring', type, message.id),
        }),
        consumer(flow, 'all', {
          on: {
            paid: ({ id }, { message }) => note('all', `paid ${id}`, message.id),
            '*': (data, { message }) => note('all', `${message.type} ${(data as { id: string }).id}`, message.id),
          },
        }),
      )
      env.ledger.excuse(name, 'ignoring', { loss: true })
      await env.publishValue(bus, wider, { type: 'paid', data: { id: 'p' } }, { id: 'm-1' })
      await env.publishValue(bus, wider, { type: 'refunded', data: { id: 'r' } }, { id: 'm-2' })
      await env.publishValue(bus, wider, { type: 'paid', data: { id: 'q' } }, { id: 'm-3' })
      for (const group of ['dead', 'all']) await env.handled(flow, group)
      await env.waitFor(() => seen.ignoring.length === 2, 'the two that are known')
      assert.deepEqual(sorted(seen.dead), ['paid', 'paid'])
      assert.deepEqual(sorted(seen.ignoring), ['paid', 'paid'])
      assert.deepEqual(sorted(seen.all), ['paid p', 'paid q', 'refunded r'])
      const letters: string[] = []
      for await (const { id, reason, error } of bus.deadLetters(flow, 'dead').list()) {
        letters.push(`${id} ${reason}`)
        assert.match(error.message, /unknown type 'refunded'; known: paid/)
      }
      assert.deepEqual(letters, ['m-2 invalid'])
    },
  },
  {
    id: '7f',
    title:
      'waves: old publisher and new consumer, then both new; old data goes through the upcaster, retries and replays too',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const name = env.name()
      interface V1 {
        readonly id: string
        readonly euros: number
      }
      const shape = { groups: ['work'] } as const
      const v1 = channel(name, { schema: trust<V1>(), ...shape })
      const v2 = env.known(
        channel(name, {
          schema: amount,
          version: 2,
          upcast: { 1: ({ id, euros }: V1): Amount => ({ id, cents: euros * 100 }) },
          ...shape,
        }),
      )
      const bus = await env.bus()
      const seen: string[] = []
      let broken = true
      await bus.start(
        env.consumer(v2, 'work', {
          retry: { attempts: 2, backoff: fixed('5ms') },
          handler({ id, cents }) {
            if (id === 'sick' && broken) throw new Error('not yet')
            seen.push(`${id} ${cents}`)
          },
        }),
      )
      for (const id of ['old', 'sick']) await env.publishValue(bus, v1, { id, euros: 5 }, { id })
      await env.publishValue(bus, v2, { id: 'new', cents: 7 }, { id: 'new' })
      await env.handled(v2, 'work')
      broken = false
      const letters = bus.deadLetters(v2, 'work')
      const values: unknown[] = []
      for await (const { value } of letters.list()) values.push(value)
      assert.deepEqual(values, [{ id: 'sick', cents: 500 }])
      assert.deepEqual(await letters.replay({}), { done: 1, failed: 0 })
      await env.waitFor(
        () => seen.length === 3,
        () => `three values; there are ${seen.join()}`,
      )
      assert.deepEqual(sorted(seen), ['new 7', 'old 500', 'sick 500'])
    },
  },
]
