import { describe, expect, test } from 'vitest'
import { channel, createBus, PolybusError, trust } from '../src/index.ts'
import { busRig } from './bus-rig.ts'
import { codeOf, deferred, fakeAdapter, manual, watch } from './fake.ts'
import { refuse, schema } from './schema-rig.ts'

const things = channel('things', { schema: trust<any>(), key: (value) => value?.key })
const ids = (r: Awaited<ReturnType<typeof busRig>>): unknown[] => r.adapter.sent.map(({ message }) => message.id)
const gates: Record<string, Promise<unknown>> = { never: new Promise(() => {}) }
/** A schema that waits for the gate that the value names. */
const slow = schema(async (value) => {
  await gates[value.gate]
  return value.bad ? refuse('bad') : { value }
})

describe('order is that of the calls', () => {
  const lanes = channel('lanes', { schema: slow, key: () => 'k' })
  for (const [how, options] of [
    ['plainly', {}],
    ['with a tracer', { trace: { publish: (_: unknown, run: () => Promise<any>) => run() } }],
    [
      'with a middleware',
      {
        publishing: {
          use: [
            async (_: unknown, next: () => Promise<void>) => {
              await Promise.resolve()
              await next()
            },
          ],
        },
      },
    ],
  ] as const)
    test(`across an asynchronous schema, ${how}`, async () => {
      const r = await busRig({}, options)
      const gate = deferred()
      gates['one'] = gate.promise
      const published = [
        r.bus.publish(lanes, { gate: 'one' }, { id: '1' }),
        r.bus.publish(lanes, {}, { id: '2' }),
        r.bus.publish(lanes, { bad: true }, { id: 'bad' }),
        r.bus.publish(lanes, {}, { id: '3' }),
      ].map((one) => watch(one))
      await r.time.quiet()
      const late = watch(r.bus.publish(lanes, {}, { id: '4' }))
      await r.time.quiet()
      expect(ids(r)).toEqual([])
      expect(published[2]?.error).toMatchObject({ code: 'INVALID_MESSAGE', sent: 'no' })
      gate.resolve()
      await r.time.quiet()
      expect(ids(r)).toEqual(['1', '2', '3', '4'])
      expect(late.state).toBe('resolved')
    })
  test('one that is aborted or too late while it is prepared lets the next ones pass', async () => {
    const r = await busRig()
    const abort = new AbortController()
    const aborted = watch(r.bus.publish(lanes, { gate: 'never' }, { signal: abort.signal }))
    const late = watch(r.bus.publish(lanes, { gate: 'never' }, { timeout: '1s' }))
    const next = watch(r.bus.publish(lanes, {}, { id: 'next' }))
    await r.time.quiet()
    abort.abort()
    await r.time.quiet()
    expect(aborted.error).toMatchObject({ code: 'ABORTED', sent: 'no' })
    expect(next.state).toBe('open')
    await r.time.advance(1000)
    expect(late.error).toMatchObject({ code: 'PUBLISH_TIMEOUT', sent: 'no' })
    // It stood behind both, which are over; only its own part matters now.
    const after = watch(r.bus.publish(lanes, {}, { id: 'after' }))
    await r.time.quiet()
    expect(after.state).toBe('resolved')
  })
})

describe('one deadline', () => {
  test('counts the channel set-up and the sending together', async () => {
    const r = await busRig()
    const plan = deferred()
    r.adapter.onPlan = () => plan.promise
    r.adapter.onSend = () => new Promise(() => {})
    const one = watch(r.bus.publish(things, {}, { timeout: '9s' }))
    await r.time.advance(6000)
    plan.resolve()
    await r.time.advance(2999)
    expect(one.state).toBe('open')
    await r.time.advance(1)
    expect(one.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
  })
  test('a publish while the broker is away waits for it, and rejects at its deadline, never sent', async () => {
    const r = await busRig()
    await r.bus.publish(things, {}, { id: 'before' })
    r.adapter.onConnect = () => (r.time.now < 8000 ? Promise.reject(new Error('away')) : Promise.resolve())
    const send = r.adapter.onSend
    r.adapter.onSend = () => Promise.reject(new PolybusError('CONNECTION_FAILED', 'x', { sent: 'no' }))
    const [short, long] = [
      watch(r.bus.publish(things, {}, { id: 'short', timeout: '5s' })),
      watch(r.bus.publish(things, {}, { id: 'long' })),
    ]
    await r.time.quiet()
    expect(r.bus.health().status).toBe('down')
    r.adapter.onSend = send
    await r.time.advance(5000)
    expect(short.error).toMatchObject({ code: 'PUBLISH_TIMEOUT', sent: 'no' })
    await r.time.advance(10_000)
    expect(long.state).toBe('resolved')
    expect(ids(r)).toEqual(['before', 'long'])
    expect(r.bus.health()).toEqual({ status: 'up', reasons: [], drift: [] })
  })
  test('a send without an answer for 15 s is given up; the retry keeps its id, and the bus reconnects', async () => {
    const r = await busRig()
    const seen: unknown[] = []
    r.adapter.onSend = (batch) => {
      seen.push(...batch.map(({ message }) => message.id))
      return seen.length === 1 ? new Promise(() => {}) : Promise.resolve(batch.map(() => ({ ok: true, value: {} })))
    }
    const one = watch(r.bus.publish(things, {}, { id: 'x' }))
    await r.time.advance(29_000)
    expect([one.state, seen]).toEqual(['resolved', ['x', 'x']])
    expect(r.events.map(({ kind }) => kind)).toContain('reconnect')
  })
})

describe('what is refused is certainly not sent', () => {
  const table: [string, unknown, object, string][] = [
    ['a reserved header', {}, { headers: { 'polybus-attempt': '1' } }, 'INVALID_MESSAGE'],
    ['a CloudEvents header', {}, { headers: { ce_id: '1' } }, 'INVALID_MESSAGE'],
    ['a header that is no text', {}, { headers: { a: 5 } }, 'INVALID_MESSAGE'],
    ['a key that is no text', { key: 5 }, {}, 'INVALID_MESSAGE'],
    ['an empty id', {}, { id: '' }, 'INVALID_OPTION'],
    ['an unknown option', {}, { prio: 1 }, 'INVALID_OPTION'],
    ['a time-out without unit', {}, { timeout: 5 }, 'INVALID_OPTION'],
    ['half a surrogate pair in the id', {}, { id: 'a\ud800' }, 'INVALID_MESSAGE'],
    ['half a surrogate pair in the key', {}, { key: '\udfff' }, 'INVALID_MESSAGE'],
    ['half a surrogate pair in a header', {}, { headers: { a: '\ud800' } }, 'INVALID_MESSAGE'],
    ["half a surrogate pair in a header's name", {}, { headers: { 'a\ud800': '' } }, 'INVALID_MESSAGE'],
    ['half a surrogate pair in the correlation id', {}, { correlationId: '\ud800' }, 'INVALID_MESSAGE'],
    ['a delay that the adapter cannot do', {}, { delay: '5s' }, 'UNSUPPORTED'],
    ['a priority that it cannot do', {}, { priority: 5 }, 'UNSUPPORTED'],
    ['a priority below 0', {}, { priority: -1 }, 'INVALID_OPTION'],
    ['a priority above 255', {}, { priority: 256 }, 'INVALID_OPTION'],
    ['a priority that is no whole number', {}, { priority: 1.5 }, 'INVALID_OPTION'],
    ['an aborted signal', {}, { signal: AbortSignal.abort() }, 'ABORTED'],
    ['what is too large', { big: 'x'.repeat(300_000) }, {}, 'MESSAGE_TOO_LARGE'],
  ]
  for (const [what, value, options, code] of table)
    test(`refused: ${what}`, async () => {
      const r = await busRig()
      expect(await codeOf(r.bus.publish(things, value, options as never))).toBe(code)
      await r.time.quiet()
      expect(ids(r)).toEqual([])
    })
  test('a key where the adapter keeps no order: before anything is made', async () => {
    const r = await busRig({ ordering: false })
    const keyed = channel('keyed', { schema: trust(), key: () => 'k' })
    expect(await codeOf(r.bus.publish(keyed, {}))).toBe('UNSUPPORTED')
    expect(ids(r)).toEqual([])
  })
  test('functions of the channel that throw, or answer nonsense', async () => {
    const r = await busRig()
    const boom = (): never => {
      throw new Error('boom')
    }
    for (const bad of [
      channel('a', { schema: trust(), key: boom }),
      channel('b', { schema: trust(), type: boom }),
      channel('c', { schema: trust(), type: (() => undefined) as never }),
      channel('d', { schema: schema(boom) }),
    ])
      expect(await codeOf(r.bus.publish(bad, {}))).toBe('INVALID_MESSAGE')
  })
  test('a channel that is none rejects, and does not throw', async () => {
    const r = await busRig()
    expect(await codeOf(r.bus.publish({} as never, {}))).toBe('INVALID_OPTION')
  })
  test('after close', async () => {
    const r = await busRig()
    await r.bus.close()
    const error = await r.bus.publish(things, {}).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'CLOSED', sent: 'no' })
  })
  test.each([
    ['the channel', null, 'Raise maxBytes'],
    ['the broker', 5, "the broker's limit"],
  ])('what is too large for %s names what to raise', async (_, maxBytes, text) => {
    const r = await busRig({ maxBytes })
    const small = channel('small', { schema: trust<string>(), maxBytes: 10 })
    const error: unknown = await r.bus.publish(small, '123456789').catch((cause: unknown) => cause)
    expect(String(error)).toContain(text)
  })
  test('exactly the limit passes, for siblings too', async () => {
    const r = await busRig()
    const small = channel('small', { schema: trust<string>(), maxBytes: 10 })
    const all = ['12345678', '123456789', 'ok'].map((text) => watch(r.bus.publish(small, text)))
    await r.time.quiet()
    expect(all.map(({ state }) => state)).toEqual(['resolved', 'rejected', 'resolved'])
  })
})

test('a priority is handed to an adapter that can do it, through retries too, and only where it was given', async () => {
  const r = await busRig({ priority: true })
  const { onSend } = r.adapter
  r.adapter.onSend = () => {
    r.adapter.onSend = onSend
    return Promise.reject(new PolybusError('CONNECTION_FAILED', 'x', { sent: 'no' }))
  }
  const all = [
    watch(r.bus.publish(things, {}, { id: 'a', priority: 7 })),
    watch(r.bus.publish(things, {}, { id: 'b' })),
  ]
  await r.time.advance(10_000)
  expect(all.map(({ state }) => state)).toEqual(['resolved', 'resolved'])
  const sent = Object.fromEntries(r.adapter.sent.map((one) => [one.message.id, one]))
  expect(sent).toMatchObject({ a: { priority: 7 }, b: {} })
  expect(sent['b']).not.toHaveProperty('priority')
})
test('a priority that is refused names its field', async () => {
  const r = await busRig({ priority: true })
  const error = await r.bus.publish(things, {}, { priority: 300 }).catch((cause: unknown) => cause)
  expect(error).toMatchObject({
    code: 'INVALID_OPTION',
    message: expect.stringContaining('publish().priority') as string,
  })
})
test('the message is a CloudEvent with the plain payload', async () => {
  const r = await busRig({}, { service: 'shop' })
  const receipt = await r.bus.publish(things, { key: 'k', a: 1 }, { headers: { x: 'y' }, correlationId: 'c' })
  const message = r.adapter.sent[0]?.message
  expect(message).toMatchObject({
    id: receipt.id,
    source: 'shop',
    type: 'things',
    key: 'k',
    headers: [['x', 'y']],
    contentType: 'application/json',
    correlationId: 'c',
    causationId: undefined,
  })
  expect(Buffer.from(message?.body as Uint8Array).toString()).toBe('{"key":"k","a":1}')
  await r.bus.publish(things, { key: 'k' }, { key: 'other' })
  expect(r.adapter.sent[1]?.message.key).toBe('other')
})

describe('publish middleware and tracers', () => {
  const withUse = (...use: any[]) => busRig({}, { publishing: { use } })
  test('wrap the publish, the first outermost, and may change headers', async () => {
    const seen: string[] = []
    const layer = (name: string) => async (ctx: any, next: () => Promise<void>) => {
      ctx.headers[name] = ctx.id
      seen.push(`${name} in`)
      await next()
      seen.push(`${name} out`)
    }
    const r = await withUse(layer('a'), layer('b'))
    await r.bus.publish(things, {}, { id: 'x', headers: { own: '1' } })
    expect(seen).toEqual(['a in', 'b in', 'b out', 'a out'])
    expect(r.adapter.sent[0]?.message.headers).toEqual([
      ['own', '1'],
      ['a', 'x'],
      ['b', 'x'],
    ])
  })
  test('one that never calls next: nothing was sent', async () => {
    const r = await withUse(async () => {})
    const error = await r.bus.publish(things, {}).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'ABORTED', sent: 'no' })
    expect(r.adapter.sent).toEqual([])
  })
  test('one that does not wait for next, or swallows its failure, changes nothing about the answer', async () => {
    const r = await withUse(async (_: unknown, next: () => Promise<void>) => void next().catch(() => {}))
    expect(await codeOf(r.bus.publish(things, {}))).toBe('resolved')
    r.adapter.onSend = (batch) =>
      Promise.resolve(batch.map(() => ({ ok: false, error: new PolybusError('BROKER_REFUSED') })))
    expect(await codeOf(r.bus.publish(things, {}))).toBe('BROKER_REFUSED')
  })
  test('next twice sends once', async () => {
    const r = await withUse(async (_: unknown, next: () => Promise<void>) => {
      await next()
      await next()
    })
    await r.bus.publish(things, {})
    expect(r.adapter.sent).toHaveLength(1)
  })
  test('an invalid value behind a middleware that throws leaves no unhandled rejection', async () => {
    const r = await withUse(async () => {
      throw new Error('mine')
    })
    const bad = channel('bad', { schema: slow })
    expect(await codeOf(r.bus.publish(bad, { bad: true }))).toBe('not ours: Error: mine')
    await r.time.quiet()
  })
  test('the tracer is called once a publish, with the key', async () => {
    const seen: unknown[] = []
    const r = await busRig({}, { trace: { publish: (info, run) => (seen.push(info), run()) } })
    await r.bus.publish(things, { key: 'k' }, { id: 'x' })
    expect(seen).toEqual([{ channel: 'things', id: 'x', key: 'k' }])
  })
})

describe('close', () => {
  test('sends what was accepted, what still waits for the first set-up too', async () => {
    const r = await busRig()
    const plan = deferred()
    r.adapter.onPlan = () => plan.promise
    const all = Array.from({ length: 50 }, (_, index) => watch(r.bus.publish(things, {}, { id: `${index}` })))
    const closed = watch(r.bus.close())
    await r.time.quiet()
    expect(closed.state).toBe('open')
    plan.resolve()
    await r.time.quiet()
    expect([all.every(({ state }) => state === 'resolved'), closed.state, r.adapter.sent.length]).toEqual([
      true,
      'resolved',
      50,
    ])
    expect(r.time.pending).toBe(false)
  })
  test('twice is harmless, and past the grace time the rest rejects', async () => {
    const r = await busRig()
    await r.bus.publish(things, {})
    r.adapter.onSend = () => new Promise(() => {})
    const hung = watch(r.bus.publish(things, {}))
    const closed = [
      watch(r.bus.close({ grace: '2s' })),
      watch(r.bus.close()),
      watch(Promise.resolve(r.bus[Symbol.asyncDispose]())),
    ]
    await r.time.advance(2000)
    expect(hung.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN' })
    expect(closed.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved'])
    expect(r.bus.health()).toEqual({ status: 'down', reasons: ['the bus is closed'], drift: [] })
    expect(r.time.pending).toBe(false)
  })
})

describe('createBus refuses', () => {
  const make = (options: unknown): Promise<string> =>
    createBus(fakeAdapter(manual().clock), options as never).then(
      () => 'made',
      (error: PolybusError) => error.message,
    )
  for (const [options, field] of [
    [{ servic: 'x' }, 'connect().servic'],
    [{ service: '' }, 'connect().service'],
    [{ namespace: 'A B' }, 'connect().namespace'],
    [{ topology: 'maybe' }, 'connect().topology'],
    [{ logger: {} }, 'connect().logger'],
    [{ observe: 5 }, 'connect().observe'],
    [{ trace: { publish: 5 } }, 'connect().trace.publish'],
    [{ use: [5] }, 'connect().use'],
    [{ defaults: { retry: { attempts: 0 } } }, 'connect().defaults.retry.attempts'],
    [{ defaults: { concurrency: -1 } }, 'connect().defaults.concurrency'],
    [{ connectTimeout: '0s' }, 'connect().connectTimeout'],
    [{ grace: 'soon' }, 'connect().grace'],
    [{ durability: 'lax' }, 'connect().durability'],
    [{ publishing: { whenFull: 'block' } }, 'connect().publishing.whenFull'],
    [{ publishing: { bufferMessages: 0 } }, 'connect().publishing.bufferMessages'],
    [{ publishing: { use: 5 } }, 'connect().publishing.use'],
  ] as const)
    test(`refused: ${field}`, async () => expect((await make(options)).startsWith(field)).toBe(true))
  test('an adapter that is none, or of another seam', async () => {
    expect(await codeOf(createBus('memory:' as never))).toBe('INVALID_OPTION')
    expect(await codeOf(createBus({ ...fakeAdapter(manual().clock), seam: 2 as 1 }))).toBe('INCOMPATIBLE_ADAPTER')
  })
})
