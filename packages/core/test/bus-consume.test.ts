import { describe, expect, test } from 'vitest'
import { memoryStore } from '@polybus/idempotency'
import type { ClaimStore, Context, Headers, Settlement } from '../src/index.ts'
import { channel, consumer, fixed, NonRetryable, PolybusError, trust } from '../src/index.ts'
import { HEADER, readHeader } from '../src/consume/progress.ts'
import { busRig } from './bus-rig.ts'
import { codeOf, deferred, delivery, failure, ok, watch, wire } from './fake.ts'

const plain = channel('plain', { schema: trust<any>() })
const keyed = channel('keyed', { schema: trust<any>(), key: (value) => value.key })
const message = (n: number, key?: string, over: object = {}) =>
  delivery({ token: n, message: wire({ id: `m-${n}`, key, body: Buffer.from(JSON.stringify({ n })), ...over }) })
const headersOf = (settlement: Settlement | undefined): Headers => {
  if (settlement?.kind !== 'move') throw new Error('no copy was made')
  return settlement.headers
}
const three = { attempts: 3, backoff: fixed('2s') } as const

describe('an attempt', () => {
  test('is acknowledged after the handler, with the value and a context', async () => {
    const r = await busRig()
    const seen: unknown[] = []
    const gate = deferred()
    await r.bus.subscribe(plain, 'g', async (value, ctx) => {
      seen.push(value, ctx.attempt, ctx.lastAttempt, ctx.group, ctx.message.id, ctx.tx)
      await gate.promise
    })
    await r.deliver(message(1))
    expect([seen, r.settled()]).toEqual([[{ n: 1 }, 1, false, 'g', 'm-1', undefined], []])
    gate.resolve()
    await r.time.quiet()
    expect(r.settled()).toEqual(['1 ack'])
  })
  test('fails: attempts are exact, then the dead letter with its headers', async () => {
    const r = await busRig()
    const attempts: string[] = []
    await r.bus.subscribe(keyed, 'g', {
      retry: three,
      handler: (_, ctx) => {
        attempts.push(`${ctx.attempt} ${ctx.lastAttempt} at ${r.time.now}`)
        throw new TypeError('boom')
      },
    })
    await r.deliver(message(1, 'k'))
    await r.time.advance(60_000)
    expect(attempts).toEqual(['1 false at 0', '2 false at 2000', '3 true at 4000'])
    const [move] = r.feed().settled
    if (move?.kind !== 'move') throw new Error('no move')
    expect(move.to).toEqual({ kind: 'dead-letter', channel: 'keyed', group: 'g' })
    expect(move.message).toBeUndefined()
    expect(Object.fromEntries(move.headers)).toEqual({
      'polybus-attempt': '3',
      'polybus-reason': 'attempts-exhausted',
      'polybus-error-name': 'TypeError',
      'polybus-error-message': 'boom',
      'polybus-origin': expect.stringMatching(/^p-/),
      'polybus-first-failed': '2025-01-01T00:00:00.000Z',
      'polybus-last-failed': '2025-01-01T00:00:04.000Z',
    })
    expect(r.events.map(({ kind }) => kind)).toEqual(['retry', 'retry', 'dead-letter'])
  })
  test('a dead letter that cannot be written: not settled, tried again, health says so; told once it is there', async () => {
    const r = await busRig()
    await r.bus.subscribe(keyed, 'g', {
      retry: false,
      handler: () => {
        throw new NonRetryable('no')
      },
    })
    r.adapter.onSettle = (batch) => Promise.resolve(batch.map(() => failure('BROKER_BUSY')))
    await r.deliver(message(1, 'k'))
    await r.time.advance(3000)
    expect([r.settled(), r.events, r.bus.health().status]).toEqual([[], [], 'degraded'])
    r.adapter.onSettle = (batch) => Promise.resolve(batch.map(() => ok))
    await r.time.advance(6000)
    expect([r.settled(), r.events.map(({ kind }) => kind), r.bus.health().status]).toEqual([
      ['1 dead-letter'],
      ['dead-letter'],
      'up',
    ])
  })
  test('deadLetter: false discards, and says so', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', {
      deadLetter: false,
      handler: () => {
        throw new NonRetryable('no')
      },
    })
    await r.deliver(message(1), delivery({ token: 2, message: wire({ body: Buffer.from('{') }) }))
    expect([r.settled().sort(), r.events.map(({ kind }) => kind)]).toEqual([
      ['1 ack', '2 ack'],
      ['discard', 'discard'],
    ])
  })
  for (const [what, thrown] of [
    ['undefined', undefined],
    ['a string', 'boom'],
    ['null', null],
  ] as const)
    test(`throws ${what}: the policy holds`, async () => {
      const r = await busRig()
      await r.bus.subscribe(plain, 'g', {
        retry: false,
        handler: () => {
          throw thrown
        },
      })
      await r.deliver(message(1), message(2))
      expect(r.settled()).toEqual(['1 dead-letter', '2 dead-letter'])
    })
  test("without a key the wait is the broker's: a copy with its count", async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', {
      retry: three,
      handler: () => {
        throw new Error('x')
      },
    })
    await r.deliver(message(1))
    expect(r.settled()).toEqual(['1 group 2000'])
    const headers = headersOf(r.feed().settled[0])
    expect(readHeader(headers, HEADER.attempt)).toBe('1')
    await r.deliver(message(2, undefined, { headers }), message(3, undefined, { headers: [[HEADER.attempt, '2']] }))
    expect(r.settled().slice(1)).toEqual(['2 group 2000', '3 dead-letter'])
  })
  test('down the ladder: the largest rung, the rest in a header; below a second it is held', async () => {
    const r = await busRig({ delay: { kind: 'ladder' } })
    let runs = 0
    await r.bus.subscribe(plain, 'g', {
      retry: { attempts: 2, backoff: fixed('11500ms') },
      handler: () => {
        if (runs++ === 0) throw new Error('x')
      },
    })
    await r.deliver(message(1))
    let headers = headersOf(r.feed().settled[0])
    expect([r.settled(), readHeader(headers, HEADER.delay)]).toEqual([['1 group 10000'], '1500'])
    await r.deliver(message(2, undefined, { headers }))
    headers = headersOf(r.feed().settled[1])
    expect([r.settled()[1], readHeader(headers, HEADER.delay), runs]).toEqual(['2 group 1000', '500', 1])
    await r.deliver(message(3, undefined, { headers }))
    await r.time.advance(499)
    expect(runs).toBe(1)
    await r.time.advance(1)
    expect([runs, r.settled()[2]]).toEqual([2, '3 ack'])
  })
  test('a held retry keeps its key, others flow', async () => {
    const r = await busRig()
    const seen: number[] = []
    await r.bus.subscribe(keyed, 'g', {
      concurrency: 1,
      retry: three,
      handler: ({ n }, { attempt }) => {
        seen.push(n)
        if (n === 1 && attempt === 1) throw new Error('x')
      },
    })
    await r.deliver(message(1, 'a'), message(2, 'a'), message(3, 'b'))
    expect(seen).toEqual([1, 3])
    await r.time.advance(2000)
    expect(seen).toEqual([1, 3, 1, 2])
  })
  test('what cannot be read or is invalid goes to the dead letters at attempt 1; its neighbours flow', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', () => {})
    await r.deliver(message(1, undefined, { body: Buffer.from('{') }), message(2))
    expect(r.settled().sort()).toEqual(['1 dead-letter', '2 ack'])
    const moved = headersOf(r.feed().settled.find(({ kind }) => kind === 'move'))
    expect([readHeader(moved, HEADER.reason), readHeader(moved, HEADER.attempt)]).toEqual(['undecodable', '1'])
  })
  test("the broker's own count stops a message that kills its process", async () => {
    const r = await busRig({ crashGuard: 10 })
    let runs = 0
    await r.bus.subscribe(plain, 'g', { retry: three, handler: () => void runs++ })
    await r.deliver({ ...message(1), count: 13 }, { ...message(2), count: 14 })
    await r.time.advance(250)
    expect([runs, r.settled().sort()]).toEqual([1, ['1 ack', '2 dead-letter']])
  })
  test('a hand-over that was lost before its handler started killed nobody, however often the broker counts it', async () => {
    const r = await busRig({ crashGuard: 1 })
    const gate = deferred()
    const seen: string[] = []
    await r.bus.subscribe(plain, 'g', {
      concurrency: 1,
      retry: false,
      async handler(_, { message: { id } }) {
        seen.push(id)
        await gate.promise
      },
    })
    await r.deliver(message(1))
    for (const count of [1, 2]) {
      await r.deliver({ ...message(2), token: `try ${count}`, count })
      r.feed().source.onLost([`try ${count}`])
    }
    await r.deliver({ ...message(2), count: 3 }, { ...message(3), count: 3 })
    gate.resolve()
    await r.time.quiet()
    // Message 3 was with others: what became of it there is not known here.
    expect([seen, r.settled()]).toEqual([
      [message(1).message.id, message(2).message.id],
      ['1 ack', '2 ack', '3 dead-letter'],
    ])
  })
  test('what was handed out too often runs alone, each when the one before is settled, and nothing is fetched meanwhile', async () => {
    const r = await busRig({ crashGuard: 10 })
    const gates: { resolve(value?: unknown): void }[] = []
    await r.bus.subscribe(plain, 'g', {
      retry: false,
      async handler() {
        const gate = deferred()
        gates.push(gate)
        await gate.promise
      },
    })
    const settlement = deferred()
    r.adapter.onSettle = (batch) => settlement.promise.then(() => batch.map(() => ok))
    for (const n of [1, 2, 3]) await r.deliver({ ...message(n), count: 4 })
    await r.deliver(message(4))
    expect(gates.length).toBe(0)
    await r.time.advance(250)
    expect(gates.length).toBe(1)
    gates[0]?.resolve()
    await r.time.quiet()
    expect(gates.length).toBe(1)
    settlement.resolve(undefined)
    await r.time.quiet()
    expect(gates.length).toBe(2)
    gates[1]?.resolve()
    await r.time.quiet()
    gates[2]?.resolve()
    await r.time.quiet()
    expect(gates.length).toBe(4)
    gates[3]?.resolve()
    await r.time.quiet()
    expect(r.settled().length).toBe(4)
  })
  test('a channel that cannot be set up ends a start in time, with the reason', async () => {
    const r = await busRig({}, { connectTimeout: '2s' })
    const locked = new PolybusError('BROKER_BUSY', 'The table is locked.')
    Object.assign(r.adapter, { topology: { plan: () => Promise.reject(locked), apply: () => Promise.resolve() } })
    const start = r.bus.subscribe(plain, 'g', () => {})
    const failed = start.catch((error: unknown) => error)
    await r.time.advance(2100)
    expect(await failed).toMatchObject({
      code: 'CONNECT_TIMEOUT',
      message: expect.stringMatching(/could not be set up within 2000 ms.*The table is locked/),
    })
  })
  test('a subscription that cannot work ends, and says so: log, event and health', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', () => {})
    r.feed().break(new PolybusError('UNSUPPORTED', 'A batch needs the package x.'))
    await r.time.advance(60_000)
    expect([r.adapter.feeds.length, r.logs, r.events.map(({ kind }) => kind)]).toEqual([
      1,
      ['the subscription has ended: it cannot work'],
      ['ended'],
    ])
    expect(r.bus.health()).toMatchObject({
      status: 'down',
      reasons: [expect.stringContaining('ended: A batch needs the package x.')],
    })
  })
  test('one that breaks again and again is made anew more and more rarely, where that mends nothing', async () => {
    const feeds = async (error: PolybusError, deliver: boolean): Promise<number> => {
      const r = await busRig()
      await r.bus.subscribe(plain, 'g', () => {})
      for (let n = 0; n < 400; n++) {
        if (deliver) await r.deliver(message(n))
        r.feed().break(error)
        await r.time.advance(50)
      }
      return r.adapter.feeds.length
    }
    const lost = new PolybusError('FEED_BROKEN')
    const denied = new PolybusError('MESSAGE_TOO_LARGE')
    // In 20 s: 50 ms doubled up to 5 s.
    expect(await feeds(lost, false)).toBeLessThan(20)
    expect(await feeds(denied, true)).toBeLessThan(20)
    expect(await feeds(lost, true)).toBeGreaterThan(100)
  })
  test('a foreign message without an id that cannot be read gets one with its dead letter', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', () => {})
    await r.deliver(message(1, undefined, { id: undefined, source: undefined, body: Buffer.from('{') }))
    expect(readHeader(headersOf(r.feed().settled[0]), HEADER.id)).toMatch(/[0-9a-f-]{36}/)
  })
  test('a foreign message without an id gets one that is frozen into its copies', async () => {
    const r = await busRig()
    const ids: string[] = []
    await r.bus.subscribe(plain, 'g', {
      retry: three,
      handler: (_, ctx) => {
        ids.push(ctx.message.id)
        throw new Error('x')
      },
    })
    await r.deliver(message(1, undefined, { id: undefined, source: undefined }))
    const headers = headersOf(r.feed().settled[0])
    await r.deliver(message(2, undefined, { id: undefined, source: undefined, headers }))
    expect(ids[0]).toMatch(/[0-9a-f-]{36}/)
    expect(ids[1]).toBe(ids[0])
  })
})

describe('time-outs', () => {
  test('the signal aborts at once; the outcome waits for the handler; health is degraded meanwhile', async () => {
    const r = await busRig()
    const gate = deferred()
    let signal: AbortSignal | undefined
    await r.bus.subscribe(keyed, 'g', {
      timeout: '1s',
      retry: false,
      handler: async (_, ctx) => {
        ;({ signal } = ctx)
        await gate.promise
      },
    })
    await r.deliver(message(1, 'k'), message(2, 'k'))
    await r.time.advance(1000)
    expect([
      signal?.aborted,
      PolybusError.is(signal?.reason, 'HANDLER_TIMEOUT'),
      r.settled(),
      r.bus.health().status,
    ]).toEqual([true, true, [], 'degraded'])
    gate.resolve()
    await r.time.quiet()
    expect([r.settled(), r.bus.health().status]).toEqual([['1 dead-letter', '2 ack'], 'up'])
  })
})

describe('deduplication', () => {
  test('a duplicate is acknowledged without the handler, and told', async () => {
    const r = await busRig()
    let runs = 0
    await r.bus.subscribe(plain, 'g', { idempotency: memoryStore(), handler: () => void runs++ })
    await r.deliver(message(1))
    await r.deliver({ ...message(2), message: wire({ id: 'm-1' }) })
    expect([runs, r.settled(), r.events.map(({ kind }) => kind)]).toEqual([1, ['1 ack', '2 ack'], ['duplicate']])
  })
  test('a busy claim is waited for, and no attempt is counted', async () => {
    const r = await busRig()
    const gate = deferred()
    const attempts: number[] = []
    await r.bus.subscribe(plain, 'g', {
      idempotency: memoryStore(),
      retry: false,
      handler: async (_, { attempt }) => {
        attempts.push(attempt)
        await gate.promise
        throw new NonRetryable('x')
      },
    })
    await r.deliver(message(1), { ...message(2), message: wire({ id: 'm-1' }) })
    await r.time.advance(3000)
    expect([attempts, r.settled()]).toEqual([[1], []])
    gate.resolve()
    await r.time.advance(200)
    expect([attempts, r.settled()]).toEqual([
      [1, 1],
      ['1 dead-letter', '2 dead-letter'],
    ])
  })
  test('a store that is down pauses consuming, counts nothing, and resumes by itself', async () => {
    const r = await busRig()
    let down = true
    const inner = memoryStore()
    const store: ClaimStore = {
      ...inner,
      claim: (key, ms) => {
        if (down) throw new Error('down')
        return inner.claim(key, ms)
      },
    }
    const attempts: number[] = []
    await r.bus.subscribe(plain, 'g', {
      idempotency: store,
      retry: false,
      handler: (_, { attempt }) => void attempts.push(attempt),
    })
    await r.deliver(message(1), message(2))
    await r.time.advance(20_000)
    expect([attempts, r.settled(), r.bus.health().status]).toEqual([[], [], 'degraded'])
    expect(r.bus.health().reasons.join()).toContain('consuming is paused')
    down = false
    await r.time.advance(10_000)
    expect([attempts, r.settled().sort(), r.bus.health().status]).toEqual([[1, 1], ['1 ack', '2 ack'], 'up'])
  })
  test('no id and no key function: refused with a reason; a key function helps', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', { idempotency: memoryStore(), handler: () => {} })
    await r.deliver(message(1, undefined, { id: undefined, source: undefined }))
    expect(readHeader(headersOf(r.feed().settled[0]), HEADER.reason)).toBe('no-id')
    const other = await busRig()
    let runs = 0
    await other.bus.subscribe(plain, 'g', {
      idempotency: memoryStore(),
      idempotencyKey: ({ n }) => `n-${n}`,
      handler: () => void runs++,
    })
    await other.deliver(message(1, undefined, { id: undefined }), { ...message(2), message: message(1).message })
    expect([runs, other.settled()]).toEqual([1, ['1 ack', '2 ack']])
  })
  test('a key function that throws or answers nothing makes the message invalid', async () => {
    for (const idempotencyKey of [
      () => '',
      () => {
        throw new Error('x')
      },
    ]) {
      const r = await busRig()
      await r.bus.subscribe(plain, 'g', { idempotency: memoryStore(), idempotencyKey, handler: () => {} })
      await r.deliver(message(1))
      expect(readHeader(headersOf(r.feed().settled[0]), HEADER.reason)).toBe('invalid')
    }
  })
})

describe('at most once', () => {
  const atMostOnce = { delivery: 'at-most-once' } as const
  test('the handler runs only after the durable acknowledgement', async () => {
    const r = await busRig()
    let runs = 0
    await r.bus.subscribe(plain, 'g', { ...atMostOnce, handler: () => void runs++ })
    expect(r.feed().source.durable).toBe(true)
    const gate = deferred()
    r.adapter.onSettle = async (batch) => {
      await gate.promise
      return batch.map(() => ok)
    }
    await r.deliver(message(1))
    expect(runs).toBe(0)
    gate.resolve()
    await r.time.quiet()
    expect([runs, r.settled()]).toEqual([1, ['1 ack']])
  })
  test('what was lost before does not run; its slot is free again', async () => {
    const r = await busRig()
    const seen: number[] = []
    await r.bus.subscribe(plain, 'g', { ...atMostOnce, concurrency: 1, handler: ({ n }) => void seen.push(n) })
    r.adapter.onSettle = (batch) =>
      Promise.resolve(batch.map(({ token }) => (token === 1 ? failure('LEASE_LOST') : ok)))
    await r.deliver(message(1), message(2))
    expect([seen, r.events.map(({ kind }) => kind)]).toEqual([[2], ['lost']])
  })
  test('what the handler throws is counted, never tried again; what cannot be read is a dead letter', async () => {
    const r = await busRig()
    await r.bus.subscribe(plain, 'g', {
      ...atMostOnce,
      handler: () => {
        throw new Error('x')
      },
    })
    await r.deliver(message(1), message(2, undefined, { body: Buffer.from('{') }))
    await r.time.advance(60_000)
    expect([r.settled().sort(), r.events.map(({ kind }) => kind).sort()]).toEqual([
      ['1 ack', '2 dead-letter'],
      ['dead-letter', 'failed'],
    ])
  })
  test('is refused with a store, or with retries asked for', async () => {
    const r = await busRig()
    expect(
      await codeOf(r.bus.subscribe(plain, 'a', { ...atMostOnce, idempotency: memoryStore(), handler: () => {} })),
    ).toBe('UNSUPPORTED')
    expect(await codeOf(r.bus.subscribe(plain, 'b', { ...atMostOnce, retry: three, handler: () => {} }))).toBe(
      'UNSUPPORTED',
    )
    expect(
      await codeOf(
        r.bus.subscribe(plain, 'c', {
          ...atMostOnce,
          retry: { attempts: 1, rules: [{ on: [Error], attempts: 4 }] },
          handler: () => {},
        }),
      ),
    ).toBe('UNSUPPORTED')
  })
  test('its signal aborts when the grace time of a stop is over', async () => {
    const r = await busRig()
    let signal: AbortSignal | undefined
    await r.bus.subscribe(plain, 'g', {
      ...atMostOnce,
      handler: (_, ctx) => {
        ;({ signal } = ctx)
        return new Promise(() => {})
      },
    })
    await r.deliver(message(1))
    const stopped = watch(r.bus.stop({ grace: '1s' }))
    await r.time.advance(5000)
    expect([signal?.aborted, stopped.state]).toEqual([true, 'resolved'])
  })
})

describe('batches', () => {
  const batch = (max: number, wait: '10ms' | '1s' | '1h', handler: any, more: object = {}) => ({
    batch: { max, wait, handler },
    ...more,
  })
  test('item by item: those that fail are tried again, the others are acknowledged', async () => {
    const r = await busRig()
    await r.bus.subscribe(
      plain,
      'g',
      batch(3, '1s', (items: any[]) => items[1].fail(new Error('x'))),
    )
    await r.deliver(message(1), message(2), message(3))
    expect(r.settled().sort()).toEqual([expect.stringMatching(/^1 ack/), expect.stringMatching(/^2 group/), '3 ack'])
  })
  test('of a key one at a time, in order', async () => {
    const r = await busRig()
    const seen: number[][] = []
    await r.bus.subscribe(
      keyed,
      'g',
      batch(10, '10ms', (items: any[]) => void seen.push(items.map(({ value }) => value.n))),
    )
    await r.deliver(message(1, 'a'), message(2, 'a'), message(3, 'b'))
    await r.time.advance(9)
    expect(seen).toEqual([[1, 3]])
    await r.time.advance(10)
    expect(seen).toEqual([[1, 3], [2]])
  })
  test('while others wait behind its messages for their keys a batch does not wait for more', async () => {
    const r = await busRig()
    const seen: number[][] = []
    await r.bus.subscribe(
      keyed,
      'g',
      batch(10, '1h', (items: any[]) => void seen.push(items.map(({ value }) => value.n))),
    )
    await r.deliver(...[1, 2, 3, 4, 5, 6, 7].map((n) => message(n, n % 2 ? 'odd' : 'even')))
    await r.time.quiet()
    expect(seen).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
    expect(r.settled()).toEqual(['1 ack', '2 ack', '3 ack', '4 ack', '5 ack', '6 ack'])
  })
  test('item.fail() after the end is too late, and is logged; what the batch logs is of no single message', async () => {
    const lines: { readonly text: string; readonly fields: object }[] = []
    const log = (fields: object, text: string): void => void lines.push({ text, fields })
    const r = await busRig({}, { logger: { debug: log, info: log, warn: log, error: log } })
    let late: ((error: unknown) => void) | undefined
    await r.bus.subscribe(
      plain,
      'g',
      batch(1, '10ms', ([item]: any[], ctx: Context) => {
        late = item.fail
        ctx.log.info({ said: true }, 'hello')
      }),
    )
    await r.deliver(message(1))
    await r.time.quiet()
    late?.(new Error('too late'))
    expect(r.settled()).toEqual(['1 ack'])
    const of = (text: string): unknown => lines.find((line) => line.text.startsWith(text))?.fields
    expect(of('hello')).toEqual({ channel: 'plain', group: 'g', said: true })
    expect(of('item.fail()')).toMatchObject({ attempt: 1, err: { message: 'too late' } })
  })
  test('what joins a batch after a stop began goes back too, and its handler never runs', async () => {
    const r = await busRig()
    const gate = deferred()
    let ran = 0
    const subscription = await r.bus.subscribe(
      plain,
      'g',
      batch(10, '1h', () => void ran++, {
        use: [
          async (_: unknown, next: () => Promise<void>) => {
            await gate.promise
            await next()
          },
        ],
      }),
    )
    await r.deliver(message(1))
    const stopped = watch(subscription.stop())
    await r.time.quiet()
    gate.resolve()
    await r.time.quiet()
    expect([stopped.state, ran, r.settled()]).toEqual(['resolved', 0, ['1 release']])
    await r.time.advance(3_600_000)
    expect(ran).toBe(0)
  })
  test('a handler that takes items out of its list, or sorts it, fails what it says it fails', async () => {
    const r = await busRig()
    await r.bus.subscribe(
      plain,
      'g',
      batch(3, '1s', (items: any[]) => {
        items.reverse()
        const last = items.shift()
        const { fail } = last
        items.length = 0
        fail(new Error('x'))
      }),
    )
    await r.deliver(message(1), message(2), message(3))
    expect(r.settled().sort()).toEqual(['1 ack', '2 ack', expect.stringMatching(/^3 group/)])
  })
  test('the time of a message begins with its batch', async () => {
    const r = await busRig()
    const gates = [deferred(), deferred()]
    let begun = 0
    await r.bus.subscribe(
      plain,
      'g',
      batch(2, '10ms', () => gates[begun++]?.promise, { timeout: '1s' }),
    )
    await r.deliver(message(1))
    await r.time.advance(10)
    await r.deliver(message(2))
    await r.time.advance(900)
    gates[0]?.resolve()
    await r.time.advance(900)
    expect(begun).toBe(2)
    gates[1]?.resolve()
    await r.time.quiet()
    expect(r.settled()).toEqual(['1 ack', '2 ack'])
  })
  test('gathering longer than the time-out times nothing out', async () => {
    const r = await busRig()
    let aborted: boolean | undefined
    await r.bus.subscribe(
      plain,
      'g',
      batch(2, '1h', (_: unknown, ctx: Context) => void (aborted = ctx.signal.aborted), { timeout: '1s' }),
    )
    await r.deliver(message(1))
    await r.time.advance(5000)
    await r.deliver(message(2))
    expect([aborted, r.settled()]).toEqual([false, ['1 ack', '2 ack']])
  })
  test('past its time the signal aborts', async () => {
    const r = await busRig()
    let signal: AbortSignal | undefined
    await r.bus.subscribe(
      plain,
      'g',
      batch(
        1,
        '10ms',
        (_: unknown, ctx: Context) => {
          ;({ signal } = ctx)
          return new Promise(() => {})
        },
        { timeout: '1s' },
      ),
    )
    await r.deliver(message(1))
    await r.time.advance(999)
    expect(signal?.aborted).toBe(false)
    await r.time.advance(1)
    expect(signal?.aborted).toBe(true)
  })
  test('a stop gives back what waits for its batch: no handler starts afterwards', async () => {
    const r = await busRig()
    let begun = 0
    await r.bus.subscribe(
      plain,
      'g',
      batch(10, '1h', () => void begun++),
    )
    await r.deliver(message(1), message(2))
    const stopped = watch(r.bus.stop())
    await r.time.quiet()
    expect([stopped.state, r.settled()]).toEqual(['resolved', ['1 release', '2 release']])
    await r.time.advance(7_200_000)
    expect(begun).toBe(0)
  })
  test('what is lost while it waits is not in the batch', async () => {
    const r = await busRig()
    const seen: number[] = []
    await r.bus.subscribe(
      plain,
      'g',
      batch(10, '1s', (items: any[]) => void seen.push(...items.map(({ value }) => value.n))),
    )
    await r.deliver(message(1), message(2))
    r.feed().source.onLost([1])
    await r.time.advance(1000)
    expect([seen, r.settled()]).toEqual([[2], ['2 ack']])
  })
})

describe('around the handler', () => {
  test('middleware of the bus, then of the consumer; the tracer once an attempt', async () => {
    const seen: string[] = []
    const layer = (name: string) => async (_: unknown, next: () => Promise<void>) => {
      seen.push(`${name} in`)
      await next()
      seen.push(`${name} out`)
    }
    const r = await busRig(
      {},
      { use: [layer('bus')], trace: { attempt: (info, run) => (seen.push(`trace ${info.attempt}`), run()) } },
    )
    await r.bus.subscribe(plain, 'g', { use: [layer('consumer')], handler: () => void seen.push('handler') })
    await r.deliver(message(1))
    expect(seen).toEqual(['trace 1', 'bus in', 'consumer in', 'handler', 'consumer out', 'bus out'])
  })
  for (const [what, attempt] of [
    ['swallows the error', async (_: unknown, run: () => Promise<void>) => run().catch(() => {})],
    ['does not wait', async (_: unknown, run: () => Promise<void>) => void run()],
    ['never calls run', async () => {}],
    [
      'throws itself',
      async () => {
        throw new Error('trace')
      },
    ],
  ] as const)
    test(`a tracer that ${what} never makes an ack of a failure`, async () => {
      const r = await busRig({}, { trace: { attempt } })
      await r.bus.subscribe(plain, 'g', {
        retry: false,
        handler: async () => {
          await Promise.resolve()
          throw new Error('x')
        },
      })
      await r.deliver(message(1))
      expect(r.settled()).toEqual(['1 dead-letter'])
    })
  test('a tracer that throws after a handler that succeeded costs nothing', async () => {
    const r = await busRig(
      {},
      {
        trace: {
          attempt: async (_, run) => {
            await run()
            throw new Error('trace')
          },
        },
      },
    )
    await r.bus.subscribe(plain, 'g', () => {})
    await r.deliver(message(1))
    expect(r.settled()).toEqual(['1 ack'])
  })
  test('an observer that throws does no harm', async () => {
    const r = await busRig(
      {},
      {
        observe: () => {
          throw new Error('x')
        },
      },
    )
    await r.bus.subscribe(plain, 'g', {
      retry: false,
      handler: () => {
        throw new Error('x')
      },
    })
    await r.deliver(message(1))
    expect(r.settled()).toEqual(['1 dead-letter'])
  })
  test('ctx.publish correlates; sideEffectKey is the same at every attempt and differs by name and group', async () => {
    const r = await busRig()
    const keys: string[] = []
    const run = async (_: unknown, ctx: Context): Promise<void> => {
      keys.push(ctx.sideEffectKey('mail'), ctx.sideEffectKey('sms'))
      if (ctx.attempt === 1) throw new Error('again')
      await ctx.publish(keyed, { key: 'k' })
    }
    await r.bus.subscribe(keyed, 'g', { retry: three, handler: run })
    await r.deliver(message(1, 'k', { correlationId: 'flow' }))
    await r.time.advance(2000)
    expect(keys.slice(0, 2)).toEqual(keys.slice(2))
    expect(keys[0]).not.toBe(keys[1])
    expect(r.adapter.sent[0]?.message).toMatchObject({ correlationId: 'flow', causationId: 'm-1' })
  })
})

describe('a lane that moves', () => {
  test('onRevoke: what is queued or held goes back, nothing new starts, it resolves when what runs has ended', async () => {
    const r = await busRig()
    const gate = deferred()
    const seen: number[] = []
    await r.bus.subscribe(keyed, 'g', {
      concurrency: 2,
      retry: three,
      handler: async ({ n }) => {
        seen.push(n)
        if (n === 1) await gate.promise
        if (n === 3) throw new Error('held')
      },
    })
    await r.deliver(message(1, 'a'), message(2, 'a'), message(3, 'b'), message(4, 'b'), message(5, 'b'))
    const revoked = watch(r.feed().source.onRevoke([1, 2, 3, 4, 5]))
    await r.time.quiet()
    expect([seen, revoked.state]).toEqual([[1, 3], 'open'])
    expect(r.settled().sort()).toEqual(['2 release', '3 release with headers', '4 release', '5 release'])
    gate.resolve()
    await r.time.quiet()
    expect([seen, revoked.state, r.settled().at(-1)]).toEqual([[1, 3], 'resolved', '1 ack'])
  })
  test('what runs and fails meanwhile is given back, not held', async () => {
    const r = await busRig()
    const gate = deferred()
    await r.bus.subscribe(keyed, 'g', {
      retry: three,
      handler: async () => {
        await gate.promise
        throw new Error('x')
      },
    })
    await r.deliver(message(1, 'a'))
    const revoked = watch(r.feed().source.onRevoke([1]))
    gate.resolve()
    await r.time.quiet()
    expect([r.settled(), revoked.state]).toEqual([['1 release with headers'], 'resolved'])
  })
  test('of tokens that it does not hold it resolves at once', async () => {
    const r = await busRig()
    await r.bus.subscribe(keyed, 'g', () => {})
    await r.feed().source.onRevoke([99])
  })
  test('held retries that are lost let nothing of their key overtake', async () => {
    const r = await busRig()
    const seen: number[] = []
    await r.bus.subscribe(keyed, 'g', {
      retry: three,
      handler: ({ n }) => {
        seen.push(n)
        if (n === 1) throw new Error('x')
      },
    })
    await r.deliver(message(1, 'a'), message(2, 'a'))
    r.feed().source.onLost([1, 2])
    await r.time.advance(10_000)
    expect([seen, r.settled(), r.events.map(({ kind }) => kind)]).toEqual([[1], [], ['retry', 'lost', 'lost']])
  })
})

test('a connection that breaks while the adapter subscribes loses nothing, for nothing is held', async () => {
  const r = await busRig()
  const { subscribe } = r.adapter
  r.adapter.subscribe = async (source, call) => {
    source.onLost([])
    source.onLost([1])
    await source.onRevoke([1])
    return subscribe(source, call)
  }
  const seen: number[] = []
  await r.bus.subscribe(plain, 'g', ({ n }) => void seen.push(n))
  await r.deliver(message(1))
  expect(seen).toEqual([1])
})

test('pause starts nothing and takes nothing; resume goes on', async () => {
  const r = await busRig()
  const seen: number[] = []
  const subscription = await r.bus.subscribe(plain, 'g', ({ n }) => void seen.push(n))
  subscription.pause()
  await r.deliver(message(1))
  expect(seen).toEqual([])
  subscription.resume()
  await r.time.quiet()
  expect(seen).toEqual([1])
})

test('a pause that comes between the room and the receive: none is asked for nothing, which would sit out its wait', async () => {
  const r = await busRig()
  const asked: number[] = []
  const { subscribe } = r.adapter
  r.adapter.subscribe = async (source, call) => {
    const feed = await subscribe(source, call)
    const { receive } = feed
    feed.receive = (max, ask) => {
      asked.push(max)
      return receive(max, ask)
    }
    return feed
  }
  const subscription = await r.bus.subscribe(plain, 'g', () => queueMicrotask(() => subscription.pause()))
  await r.deliver(message(1))
  expect(asked.filter((max) => max <= 0)).toEqual([])
  const before = asked.length
  subscription.resume()
  await r.time.quiet()
  expect(asked.length).toBe(before + 1)
})

test('a feed that breaks: what runs keeps its key until it ends, and a new feed goes on', async () => {
  const r = await busRig()
  const gate = deferred()
  const seen: string[] = []
  await r.bus.start(
    consumer(keyed, 'g', async ({ n }, ctx) => {
      seen.push(`${n}`)
      if (seen.length === 1) {
        await gate.promise
        seen.push(`aborted ${ctx.signal.aborted}`)
      }
    }),
  )
  await r.deliver(message(1, 'a'))
  r.feed().break(new PolybusError('FEED_BROKEN'))
  await r.time.advance(5000)
  expect([r.adapter.feeds.length, r.adapter.feeds[0]?.closed, r.bus.health().status]).toEqual([2, true, 'up'])
  await r.deliver(message(1, 'a'))
  expect(seen).toEqual(['1'])
  gate.resolve()
  await r.time.quiet()
  expect(seen).toEqual(['1', 'aborted true', '1'])
  expect(r.settled()).toEqual(['1 ack'])
})
