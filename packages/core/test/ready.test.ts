// A codec that has a say before a channel is used, and what a consumer could not read, counted.
import { describe, expect, test } from 'vitest'
import { channel, type Codec, type CodecContext, json, PolybusError, trust, types } from '../src/index.ts'
import { busRig } from './bus-rig.ts'
import { codeOf, delivery, wire } from './fake.ts'

const asked: CodecContext[] = []
const codecThat = (ready: () => void | Promise<void>): Codec => ({
  ...json,
  ready(about) {
    asked.push(about)
    return ready()
  },
})
const nothing = (): void => {}
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('ready', () => {
  test('is asked once for each type before a consumer starts and by prepare, and not by a publish', async () => {
    asked.length = 0
    const r = await busRig()
    const codec = codecThat(nothing)
    const one = channel('one', { schema: trust<any>(), codec })
    const two = channel('two', { schema: types({ a: trust<any>(), b: trust<any>() }), codec })
    await r.bus.subscribe(one, 'g', nothing)
    await r.bus.prepare(two)
    expect(asked).toEqual([
      { channel: 'one', type: undefined },
      { channel: 'two', type: 'a' },
      { channel: 'two', type: 'b' },
    ])
  })
  test('what it throws refuses the start, and names the channel', async () => {
    const r = await busRig()
    const no = new PolybusError('SCHEMA_NOT_REGISTERED', 'there is no such schema')
    const codec = codecThat(() => Promise.reject(no))
    const flow = channel('flow', { schema: trust<any>(), codec })
    const error = await failure(r.bus.subscribe(flow, 'g', nothing))
    expect(error).toMatchObject({
      code: 'SCHEMA_NOT_REGISTERED',
      message: "Channel 'flow': there is no such schema",
      cause: no,
    })
    expect(await codeOf(r.bus.prepare(flow))).toBe('SCHEMA_NOT_REGISTERED')
    const odd = channel('odd', {
      schema: trust<any>(),
      codec: codecThat(() => {
        throw new TypeError('a bug')
      }),
    })
    expect(await failure(r.bus.prepare(odd))).toMatchObject({
      code: 'SCHEMA_INVALID',
      message: expect.stringContaining('TypeError: a bug'),
    })
  })
  test('one that cannot say is asked again, and until connectTimeout alone', async () => {
    const r = await busRig({}, { connectTimeout: '5s' })
    let away = true
    const codec = codecThat(() => {
      if (away) throw new PolybusError('REGISTRY_UNAVAILABLE', 'the registry is away')
    })
    const flow = channel('flow', { schema: trust<any>(), codec })
    const late = failure(r.bus.subscribe(flow, 'g', nothing))
    await r.time.advance(5000)
    expect(await late).toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      message: "Channel 'flow': the registry is away",
    })
    const again = r.bus.subscribe(flow, 'g', nothing)
    await r.time.advance(1000)
    away = false
    await r.time.advance(2000)
    await again
  })
  test('one that never answers ends with the deadline', async () => {
    const r = await busRig({}, { connectTimeout: '5s' })
    const flow = channel('flow', { schema: trust<any>(), codec: codecThat(() => new Promise(nothing)) })
    const late = failure(r.bus.prepare(flow))
    await r.time.advance(5000)
    expect(await late).toMatchObject({ code: 'CONNECT_TIMEOUT', message: expect.stringContaining('within 5000 ms') })
  })
})

test('health counts what a consumer could not read, and stays up', async () => {
  const r = await busRig()
  const flow = channel('flow', {
    schema: {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => ((value as { n?: number }).n === 1 ? { value } : { issues: [{ message: 'not 1' }] }),
      },
    },
  })
  await r.bus.subscribe(flow, 'g', nothing)
  const send = (n: number, body: string) =>
    r.deliver(delivery({ token: n, message: wire({ id: `m-${n}`, body: Buffer.from(body) }) }))
  await send(1, '{"n":1}')
  expect(r.bus.health()).toEqual({ status: 'up', reasons: [], drift: [] })
  await send(2, 'no json')
  await send(3, '{"n":2}')
  await send(4, '{"n":3}')
  expect(r.bus.health()).toMatchObject({
    status: 'up',
    reasons: [],
    drift: [
      {
        channel: 'flow',
        group: 'g',
        undecodable: 1,
        invalid: 2,
        last: { id: 'm-4', at: expect.any(Date), reason: "Channel 'flow': the schema refuses the message: not 1." },
      },
    ],
  })
})
