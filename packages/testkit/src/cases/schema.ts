import assert from 'node:assert/strict'
import { channel, type Codec, json, PolybusError, type Schema } from '@polybus/core'
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
]
