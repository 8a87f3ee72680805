import { describe, expect, test } from 'vitest'
import { memory } from '@polybus/memory'
import { channel, consumer, createBus, fixed, PolybusError, trust } from '../src/index.ts'
import { busRig } from './bus-rig.ts'
import { codeOf, deferred, delivery, fakeAdapter, manual, ok, watch, wire } from './fake.ts'

const plain = channel('plain', { schema: trust<any>() })
const keyed = channel('keyed', { schema: trust<any>(), key: (value) => value.key })
const message = (n: number, key?: string) =>
  delivery({ token: n, message: wire({ id: `m-${n}`, key, body: Buffer.from(JSON.stringify({ n })) }) })
const held = { attempts: 5, backoff: fixed('1h'), wait: 'held' } as const

describe('stop', () => {
  test('no handler starts; what runs is finished and settled, the rest goes back', async () => {
    const r = await busRig()
    const gate = deferred()
    const seen: number[] = []
    await r.bus.subscribe(plain, 'g', {
      concurrency: 1,
      handler: async ({ n }) => {
        seen.push(n)
        await gate.promise
      },
    })
    await r.deliver(message(1), message(2))
    const stopped = watch(r.bus.stop())
    await r.deliver(message(3))
    expect([stopped.state, r.settled()]).toEqual(['open', ['2 release', '3 release']])
    gate.resolve()
    await r.time.quiet()
    expect([seen, stopped.state, r.settled(), r.feed().closed]).toEqual([
      [1],
      'resolved',
      ['2 release', '3 release', '1 ack'],
      true,
    ])
  })
  test('past the grace time: signals abort, what runs goes back, and it ends', async () => {
    const r = await busRig()
    let signal: AbortSignal | undefined
    const gate = deferred()
    await r.bus.subscribe(plain, 'g', async (_, ctx) => {
      ;({ signal } = ctx)
      await gate.promise
    })
    await r.deliver(message(1))
    const stopped = watch(r.bus.stop({ grace: '2s' }))
    await r.time.advance(1999)
    expect(signal?.aborted).toBe(false)
    await r.time.advance(1)
    expect([signal?.aborted, stopped.state, r.settled()]).toEqual([true, 'resolved', ['1 release']])
    gate.resolve()
    await r.time.quiet()
    expect(r.settled()).toEqual(['1 release'])
  })
  test('twice, and close after it, is harmless; publishing works until the close', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', () => {})
    await Promise.all([r.bus.stop(), r.bus.stop()])
    await r.bus.publish(plain, { n: 1 })
    await r.bus.close()
    await r.bus.close()
    await r.bus.stop()
    expect(r.time.pending).toBe(false)
  })
  test('handlers may publish while the bus closes', async () => {
    const r = await busRig()
    const gate = deferred()
    await r.bus.subscribe(plain, 'g', async (_, ctx) => {
      await gate.promise
      await ctx.publish(plain, { from: 'handler' })
    })
    await r.deliver(message(1))
    const closed = watch(r.bus.close())
    await r.time.quiet()
    gate.resolve()
    await r.time.quiet()
    expect([closed.state, r.adapter.sent.length, r.settled()]).toEqual(['resolved', 1, ['1 ack']])
  })
  for (const [what, able, channelOf, expected] of [
    ['with its count where a release keeps headers', {}, keyed, '1 release with headers'],
    ['plainly where it does not, and a key has its order', { releaseHeaders: false }, keyed, '1 release'],
    ['as a copy with its count where nothing has an order', { releaseHeaders: false }, plain, '1 group 0'],
    ['plainly where copies cannot be made', { releaseHeaders: false, delay: { kind: 'none' } }, plain, '1 release'],
  ] as const)
    test(`a held retry goes back ${what}, and leaves no timer`, async () => {
      const r = await busRig(able)
      await r.bus.subscribe(channelOf, 'g', {
        retry: held,
        handler: () => {
          throw new Error('x')
        },
      })
      await r.deliver(message(1, channelOf === keyed ? 'k' : undefined))
      expect(r.settled()).toEqual([])
      const closed = watch(r.bus.close())
      await r.time.quiet()
      expect([closed.state, r.settled()]).toEqual(['resolved', [expected]])
      expect(r.time.pending).toBe(false)
    })
  test('a feed that does not close, or hangs in its receive, does not hold it', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', () => {})
    Object.assign(r.feed(), { close: () => new Promise(() => {}) })
    const stopped = watch(r.bus.stop())
    await r.time.advance(5000)
    expect(stopped.state).toBe('resolved')
  })
  test('a consumer alone stops, and may start again', async () => {
    const r = await busRig()
    const [subscription] = await r.bus.start(consumer(plain, 'g', () => {}))
    expect(await codeOf(r.bus.subscribe(plain, 'g', () => {}))).toBe('DUPLICATE_CONSUMER')
    await subscription?.stop()
    expect(await codeOf(r.bus.subscribe(plain, 'g', () => {}))).toBe('resolved')
  })
})

describe('start', () => {
  test('all or none', async () => {
    const r = await busRig()
    r.adapter.onSubscribe = ({ group }) =>
      group === 'bad' ? Promise.reject(new PolybusError('ACCESS_DENIED')) : Promise.resolve()
    const started = watch(
      r.bus.start(
        consumer(plain, 'good', () => {}),
        consumer(plain, 'bad', () => {}),
      ),
    )
    await r.time.advance(3000)
    expect([started.error?.code, r.adapter.feeds.map(({ closed }) => closed)]).toEqual(['ACCESS_DENIED', [true]])
    r.adapter.onSubscribe = () => Promise.resolve()
    expect(
      await codeOf(
        r.bus.start(
          consumer(plain, 'good', () => {}),
          consumer(plain, 'bad', () => {}),
        ),
      ),
    ).toBe('resolved')
  })
  test('one that cannot receive in time rejects, with the reason', async () => {
    const r = await busRig()
    r.adapter.onSubscribe = () => Promise.reject(new PolybusError('BROKER_BUSY', 'later'))
    const started = watch(r.bus.subscribe(plain, 'g', () => {}))
    await r.time.advance(12_000)
    expect(started.error?.code).toBe('CONNECT_TIMEOUT')
    expect(started.error?.message).toContain('later')
  })
  test('the same channel and group twice, in one call or two', async () => {
    const r = await busRig()
    const one = consumer(plain, 'g', () => {})
    expect(
      await codeOf(
        r.bus.start(
          one,
          consumer(plain, 'g', () => {}),
        ),
      ),
    ).toBe('DUPLICATE_CONSUMER')
    const [first, second] = [watch(r.bus.start(one)), watch(r.bus.start(one))]
    await r.time.quiet()
    expect([first.state, second.error?.code]).toEqual(['resolved', 'DUPLICATE_CONSUMER'])
  })
  test('what is no consumer', async () => {
    const r = await busRig()
    expect(await codeOf(r.bus.start({} as never))).toBe('INVALID_OPTION')
  })
  test('after a stop, or one that comes meanwhile: closed, and no handler runs', async () => {
    const r = await busRig()
    const gate = deferred()
    r.adapter.onSubscribe = ({ group }) => (group === 'slow' ? gate.promise : Promise.resolve())
    let runs = 0
    const started = watch(
      r.bus.start(
        consumer(plain, 'fast', () => void runs++),
        consumer(plain, 'slow', () => void runs++),
      ),
    )
    await r.time.quiet()
    const stopped = watch(r.bus.stop())
    await r.time.quiet()
    await r.deliver(message(1))
    gate.resolve()
    await r.time.advance(3000)
    expect([runs, started.error?.code, stopped.state]).toEqual([0, 'CLOSED', 'resolved'])
    expect(r.adapter.feeds.every(({ closed }) => closed)).toBe(true)
    expect(await codeOf(r.bus.subscribe(plain, 'later', () => {}))).toBe('CLOSED')
  })
  test('while the broker is away and the bus closes: closed at once', async () => {
    const r = await busRig()
    r.adapter.onConnect = () => Promise.reject(new Error('away'))
    r.adapter.onSend = () => Promise.reject(new PolybusError('CONNECTION_FAILED'))
    r.bus.publish(plain, {}, { timeout: '1s' }).catch(() => {})
    await r.time.quiet()
    const started = watch(r.bus.subscribe(plain, 'g', () => {}))
    const closed = watch(r.bus.close({ grace: '1s' }))
    await r.time.advance(2500)
    expect([started.error?.code, closed.state]).toEqual(['CLOSED', 'resolved'])
  })
  test('one channel that cannot be set up does not hold the others', async () => {
    const r = await busRig()
    r.adapter.onPlan = ([spec]) => (spec?.name === 'plain' ? new Promise(() => {}) : Promise.resolve())
    const [bad, good] = [watch(r.bus.subscribe(plain, 'g', () => {})), watch(r.bus.subscribe(keyed, 'g', () => {}))]
    await r.time.quiet()
    expect([bad.state, good.state]).toEqual(['open', 'resolved'])
  })
})

describe('health', () => {
  test('down while disconnected, up again by itself; the consumer resumes', async () => {
    const r = await busRig()
    const seen: number[] = []
    await r.bus.subscribe(plain, 'g', ({ n }) => void seen.push(n))
    expect(r.bus.health()).toEqual({ status: 'up', reasons: [], drift: [] })
    let away = true
    r.adapter.onConnect = () => (away ? Promise.reject(new Error('refused')) : Promise.resolve())
    r.feed().break(new PolybusError('CONNECTION_FAILED'))
    await r.time.advance(10_000)
    expect(r.bus.health().status).toBe('down')
    expect(r.bus.health().reasons.join()).toContain('refused')
    away = false
    await r.time.advance(5000)
    expect(r.bus.health()).toEqual({ status: 'up', reasons: [], drift: [] })
    await r.deliver(message(1))
    expect(seen).toEqual([1])
  })
  test('a stall is down within 30 s, and the consumer is made anew', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', () => {})
    Object.assign(r.feed(), { backlog: () => Promise.resolve(3) })
    let worst = 'up'
    for (let second = 0; second < 30; second++) {
      await r.time.advance(1000)
      if (r.events.some(({ kind }) => kind === 'stall')) worst = r.bus.health().status
    }
    expect(worst).toBe('down')
    expect(r.adapter.feeds.length).toBeGreaterThan(1)
    await r.deliver(message(1))
    expect(r.bus.health().status).toBe('up')
  })
})

test('without a lease the settlement of a hung broker is repeated until it is there', async () => {
  const r = await busRig()
  let tries = 0
  r.adapter.onSettle = (batch) =>
    tries++ < 5 ? Promise.reject(new PolybusError('CONNECTION_FAILED')) : Promise.resolve(batch.map(() => ok))
  await r.bus.subscribe(plain, 'g', () => {})
  await r.deliver(message(1))
  await r.time.advance(10_000)
  expect([tries, r.settled()]).toEqual([6, ['1 ack']])
})

describe('on memory', () => {
  test('memory: publish, handle, dead letter, replay with an edit, discard', async () => {
    const time = manual()
    const bus = await createBus(memory({ clock: time.clock }), { logger: false })
    const orders = channel('orders', {
      schema: trust<{ id: string; ok?: boolean }>(),
      key: ({ id }) => id,
      groups: ['g'],
    })
    const done: string[] = []
    await bus.subscribe(orders, 'g', {
      retry: false,
      handler: ({ id, ok: fine }) => {
        if (!fine) throw new TypeError(`no ${id}`)
        done.push(id)
      },
    })
    for (const id of ['a', 'b', 'c']) await bus.publish(orders, { id }, { id: `m-${id}` })
    await time.quiet()
    const letters = bus.deadLetters(orders, 'g')
    const list = []
    for await (const letter of letters.list({ errorName: 'TypeError' }))
      list.push([letter.id, letter.value?.id, letter.reason, letter.attempts])
    expect(list).toEqual(['a', 'b', 'c'].map((id) => [`m-${id}`, id, 'attempts-exhausted', 1]))
    expect(
      await letters.replay({ ids: ['m-a', 'm-x'] }, { edit: (value) => ({ ...(value as { id: string }), ok: true }) }),
    ).toEqual({ done: 1, failed: 1 })
    await time.quiet()
    expect(done).toEqual(['a'])
    expect(await letters.replay({ key: 'b' })).toEqual({ done: 1, failed: 0 })
    await time.quiet()
    expect(await letters.discard({})).toEqual({ done: 2, failed: 0 })
    expect(await bus.stats(orders, 'g')).toMatchObject({ backlog: 0, inFlight: 0, deadLetters: 0 })
    await bus.close()
  })
  test('memory: replay keeps its pace, heeds its signal, and refuses nonsense', async () => {
    const time = manual()
    const bus = await createBus(memory({ clock: time.clock }), { logger: false })
    const orders = channel('orders', { schema: trust<number>(), groups: ['g'] })
    let fail = true
    const done: number[] = []
    await bus.subscribe(orders, 'g', {
      retry: false,
      handler: (n) => {
        if (fail) throw new Error('x')
        done.push(time.now)
        void n
      },
    })
    await Promise.all(Array.from({ length: 6 }, (_, n) => bus.publish(orders, n)))
    await time.quiet()
    fail = false
    const letters = bus.deadLetters(orders, 'g')
    const abort = new AbortController()
    const start = time.now
    const replay = watch(letters.replay({}, { perSecond: 2, signal: abort.signal }))
    await time.advance(1600)
    expect(done.map((at) => Math.round((at - start) / 500) * 500)).toEqual([0, 500, 1000, 1500])
    abort.abort()
    await time.advance(2000)
    expect(replay.state).toBe('rejected')
    expect(done).toHaveLength(4)
    expect(await codeOf(letters.replay({}, { perSecond: 0 }))).toBe('INVALID_OPTION')
    expect(await codeOf(letters.replay({ reasn: 'x' } as never))).toBe('INVALID_OPTION')
    expect(await codeOf(letters.discard({ since: new Date('x') }))).toBe('INVALID_OPTION')
    expect(await codeOf(letters.discard({ ids: 'm' } as never))).toBe('INVALID_OPTION')
    await bus.close()
  })
})

test('rewind and stats where the adapter has none', async () => {
  const r = await busRig()
  expect(await r.bus.stats(plain, 'g')).toEqual({ backlog: null, inFlight: null, oldestAgeMs: null, deadLetters: null })
  expect(await codeOf(r.bus.rewind(plain, 'g', { to: 'beginning', dedupe: 'keep' }))).toBe('UNSUPPORTED')
  expect(await codeOf(r.bus.rewind(plain, 'g', { to: 5, dedupe: 'keep' } as never))).toBe('INVALID_OPTION')
  expect(await codeOf(r.bus.rewind(plain, 'g', { to: 'end', dedupe: 'maybe' } as never))).toBe('INVALID_OPTION')
  const letters = r.bus.deadLetters(plain, 'g')
  expect(await codeOf(letters.discard({}))).toBe('UNSUPPORTED')
})

test('a bus that cannot connect closes its adapter', async () => {
  const time = manual()
  let closed = false
  const adapter = {
    ...fakeAdapter(time.clock),
    connect: () => Promise.reject(new PolybusError('AUTHENTICATION_FAILED')),
    close: () => ((closed = true), Promise.resolve()),
  }
  expect(await codeOf(createBus(adapter, { logger: false }))).toBe('AUTHENTICATION_FAILED')
  expect([closed, time.pending]).toEqual([true, false])
})
