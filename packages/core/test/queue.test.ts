import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import type { Outgoing, Receipt, Result } from '../src/adapter.ts'
import type { PublishReceipt } from '../src/api.ts'
import { PolybusError } from '../src/errors.ts'
import type { KeyLane } from '../src/publish/entry.ts'
import { createQueue, type Queue, type QueueOptions } from '../src/publish/queue.ts'
import { type Deferred, deferred, failure, type Manual, manual, watch, type Watched, wire } from './fake.ts'

type Answer = readonly Result<Receipt>[]
interface Sent {
  readonly ids: string[]
  readonly batch: readonly Outgoing[]
  readonly signal: AbortSignal
  readonly gate: Deferred<Answer>
  /** Confirms all but these. */
  answer(failures?: Record<string, Result<never>>): Promise<void>
  fail(error: unknown): Promise<void>
}
interface Rig {
  readonly time: Manual
  readonly queue: Queue
  readonly sends: Sent[]
  readonly broken: string[]
  readonly lanes: Map<string, KeyLane>
  /** Publishes a message, and says what becomes of it. */
  put(
    id: string,
    options?: { key?: string; bytes?: number; timeoutMs?: number; signal?: AbortSignal; together?: boolean },
  ): Watched<PublishReceipt>
}

function rig(over: Partial<QueueOptions> = {}): Rig {
  const time = manual()
  const sends: Sent[] = []
  const broken: string[] = []
  const lanes = new Map<string, KeyLane>()
  const queue = createQueue({
    clock: time.clock,
    limits: { messages: 10, bytes: 1000, concurrency: 2 },
    send(batch, signal) {
      const gate = deferred<Answer>()
      sends.push({
        ids: batch.map(({ message }) => message.id as string),
        batch,
        signal,
        gate,
        async answer(failures = {}) {
          gate.resolve(
            batch.map(
              ({ message }) => failures[message.id as string] ?? { ok: true, value: { position: `at-${message.id}` } },
            ),
          )
          await time.quiet()
        },
        async fail(error) {
          gate.reject(error)
          await time.quiet()
        },
      })
      return gate.promise
    },
    bufferMessages: 100,
    bufferBytes: 10_000,
    whenFull: 'wait',
    onBroken: (error) => broken.push(error.code),
    ...over,
  })
  return {
    time,
    queue,
    sends,
    broken,
    lanes,
    put: (id, { key, bytes = 1, timeoutMs = 30_000, signal, together = true } = {}) =>
      watch(
        queue.add({
          outgoing: { handover: 0, message: wire({ id, key }), to: { kind: 'channel', channel: 'things' } },
          bytes,
          key: key === undefined ? undefined : queue.lane(lanes, key, together),
          timeoutMs,
          signal,
        }),
      ),
  }
}
const batches = (r: Rig): string[] => r.sends.map(({ ids }) => ids.join(' '))

describe('batches', () => {
  test('publishes of one turn leave together; what gathers during a round trip forms the next', async () => {
    const r = rig({ limits: { messages: 10, bytes: 1000, concurrency: 1 } })
    r.put('a')
    r.put('b')
    await r.time.quiet()
    r.put('c')
    await r.time.quiet()
    r.put('d')
    expect(batches(r)).toEqual(['a b'])
    await r.sends[0]?.answer()
    expect(batches(r)).toEqual(['a b', 'c d'])
  })
  test('no more messages, bytes or calls at once than the adapter allows; a single one may be larger', async () => {
    const r = rig({ limits: { messages: 3, bytes: 100, concurrency: 2 } })
    for (const id of ['a', 'b', 'c', 'd']) r.put(id)
    r.put('e', { bytes: 98 })
    r.put('f', { bytes: 500 })
    r.put('g')
    await r.time.quiet()
    expect(batches(r)).toEqual(['a b c', 'd e'])
    await r.sends[0]?.answer()
    await r.sends[1]?.answer()
    expect(batches(r).slice(2)).toEqual(['f', 'g'])
  })
  test('each promise settles by its own entry', async () => {
    const r = rig()
    const [a, b, c] = [r.put('a'), r.put('b'), r.put('c')]
    await r.time.quiet()
    await r.sends[0]?.answer({ b: failure('BROKER_REFUSED') })
    expect(a).toMatchObject({ state: 'resolved', value: { position: 'at-a' } })
    expect(b).toMatchObject({ state: 'rejected', error: { code: 'BROKER_REFUSED', sent: 'no' } })
    expect(c.state).toBe('resolved')
    expect(r.queue.size).toBe(0)
  })
  test('groups that were missed are sent again, to these alone', async () => {
    const r = rig()
    const a = r.put('a')
    await r.time.quiet()
    r.sends[0]?.gate.resolve([
      { ok: true, value: { missing: [{ group: 'email', error: new PolybusError('BROKER_BUSY') }] } },
    ])
    await r.time.advance(100)
    expect(a.state).toBe('open')
    expect(r.sends[1]?.batch[0]?.groups).toEqual(['email'])
    await r.sends[1]?.answer()
    expect(a.state).toBe('resolved')
  })
})

test('a group that cannot be reached is named, with why; the others have the message', async () => {
  const r = rig()
  const a = r.put('a')
  await r.time.quiet()
  const gone = new PolybusError('TOPOLOGY_MISSING', 'The queue of email is missing.', { retryable: true })
  r.sends[0]?.gate.resolve([{ ok: true, value: { missing: [{ group: 'email', error: gone }] } }])
  await r.time.advance(100)
  const final = new PolybusError('TOPOLOGY_MISSING', 'The queue of email is missing.', { sent: 'no' })
  r.sends[1]?.gate.resolve([{ ok: false, error: final }])
  await r.time.quiet()
  expect(a).toMatchObject({
    state: 'rejected',
    error: {
      code: 'TOPOLOGY_MISSING',
      sent: 'unknown',
      message: expect.stringMatching(/'a' is on its way to the other groups .* not to 'email': The queue of email/),
    },
  })
})

describe('keys', () => {
  test('one batch of a key in flight; other keys overtake', async () => {
    const r = rig()
    r.put('a1', { key: 'a' })
    r.put('a2', { key: 'a' })
    await r.time.quiet()
    r.put('a3', { key: 'a' })
    r.put('b1', { key: 'b' })
    await r.time.quiet()
    expect(batches(r)).toEqual(['a1 a2', 'b1'])
    await r.sends[0]?.answer()
    expect(batches(r)).toEqual(['a1 a2', 'b1', 'a3'])
  })
  test('where the adapter writes out of order a batch holds one of a key', async () => {
    const r = rig()
    for (const id of ['a1', 'a2', 'a3']) r.put(id, { key: 'a', together: false })
    r.put('b1', { key: 'b', together: false })
    await r.time.quiet()
    expect(batches(r)).toEqual(['a1 b1'])
    await r.sends[0]?.answer()
    expect(batches(r)).toEqual(['a1 b1', 'a2'])
  })
  test('a failed entry holds the later ones of its key, in order, and no others', async () => {
    const r = rig()
    for (const id of ['a1', 'a2', 'a3']) r.put(id, { key: 'a' })
    r.put('b1', { key: 'b' })
    await r.time.quiet()
    r.put('a4', { key: 'a' })
    r.put('b2', { key: 'b' })
    await r.sends[0]?.answer({
      a2: failure('BROKER_BUSY'),
      a3: { ok: false, error: new PolybusError('NOT_ATTEMPTED') },
    })
    expect(batches(r)).toEqual(['a1 a2 a3 b1', 'b2'])
    await r.time.advance(100)
    expect(batches(r)[2]).toBe('a2 a3 a4')
    await r.sends[2]?.answer()
    expect(r.queue.size).toBe(1)
  })
  test('one that is refused for good does not hold its key', async () => {
    const r = rig()
    const a1 = r.put('a1', { key: 'a' })
    await r.time.quiet()
    r.put('a2', { key: 'a' })
    await r.sends[0]?.answer({ a1: failure('BROKER_REFUSED') })
    expect(a1.state).toBe('rejected')
    expect(batches(r)).toEqual(['a1', 'a2'])
  })
  test('a random mix of failures keeps the order of every key, and every message arrives once', async () => {
    const r = rig({ limits: { messages: 4, bytes: 1000, concurrency: 3 } })
    let seed = 5
    const random = (n: number): number => (seed = (seed * 16807) % 2147483647) % n
    const written: string[] = []
    const all: Watched<PublishReceipt>[] = []
    let answered = 0
    for (let round = 0; round < 5000 && (round < 60 || r.queue.size > 0); round++) {
      if (round < 60)
        for (let index = 0; index < 3; index++)
          all.push(r.put(`m-${all.length}`, { key: `k${random(4)}`, timeoutMs: 1e9 }))
      await r.time.advance(random(40))
      while (answered < r.sends.length && random(3) > 0) {
        const sent = r.sends[answered++] as Sent
        const failures: Record<string, Result<never>> = {}
        const failedKeys = new Set<string | undefined>()
        for (const { message } of sent.batch) {
          if (failedKeys.has(message.key))
            failures[message.id as string] = { ok: false, error: new PolybusError('NOT_ATTEMPTED') }
          else if (random(3) === 0) {
            failures[message.id as string] = failure('BROKER_BUSY')
            failedKeys.add(message.key)
          } else written.push(`${message.key}:${message.id?.split('-')[1]}`)
        }
        await sent.answer(failures)
      }
    }
    expect(all.every(({ state }) => state === 'resolved')).toBe(true)
    expect(written).toHaveLength(all.length)
    for (const key of ['k0', 'k1', 'k2', 'k3']) {
      const mine = written.filter((text) => text.startsWith(key)).map((text) => Number(text.split(':')[1]))
      expect(mine).toEqual([...mine].sort((a, b) => a - b))
    }
  })
  test('a key that waits for room keeps its one lane, whatever becomes of those before', async () => {
    const r = rig({ bufferMessages: 1 })
    r.queue.online(false)
    const first = r.put('a1', { key: 'a', timeoutMs: 10 })
    r.put('a2', { key: 'a' })
    await r.time.advance(10)
    expect(first.state).toBe('rejected')
    r.put('a3', { key: 'a' })
    expect(r.lanes.size).toBe(1)
    r.queue.online(true)
    await r.time.quiet()
    expect(batches(r)).toEqual(['a2'])
  })
  test('idle keys do not pile up', async () => {
    const r = rig({ bufferMessages: 1e6, bufferBytes: 1e9, limits: { messages: 1e6, bytes: 1e9, concurrency: 1 } })
    for (let index = 0; index < 5000; index++) r.put(`m${index}`, { key: `k${index}` })
    await r.time.quiet()
    await r.sends[0]?.answer()
    expect(r.queue.size).toBe(0)
    expect(r.lanes.size).toBeLessThanOrEqual(1024)
  })
})

describe('certainty', () => {
  test('the deadline while queued: certainly not sent, and never sent', async () => {
    const r = rig()
    r.queue.online(false)
    const a = r.put('a', { timeoutMs: 500 })
    await r.time.advance(499)
    expect(a.state).toBe('open')
    await r.time.advance(1)
    expect(a.error).toMatchObject({ code: 'PUBLISH_TIMEOUT', sent: 'no', retryable: true })
    r.queue.online(true)
    await r.time.quiet()
    expect(r.sends).toEqual([])
  })
  test('the deadline while sending: uncertain', async () => {
    const r = rig()
    const a = r.put('a', { timeoutMs: 500 })
    await r.time.advance(500)
    expect(a.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
    await r.sends[0]?.answer()
    expect(r.queue.size).toBe(0)
  })
  test('a deadline that began before the queue counts from there', async () => {
    const r = rig()
    r.queue.online(false)
    const a = watch(
      r.queue.add({
        outgoing: { handover: 0, message: wire(), to: { kind: 'channel', channel: 'c' } },
        bytes: 1,
        key: undefined,
        timeoutMs: 500,
        deadlineAt: 200,
        signal: undefined,
      }),
    )
    await r.time.advance(200)
    expect(a.error?.code).toBe('PUBLISH_TIMEOUT')
  })
  test('uncertainty sticks through later tries', async () => {
    const r = rig()
    const a = r.put('a', { timeoutMs: 5000 })
    await r.time.quiet()
    await r.sends[0]?.fail(new PolybusError('CONNECTION_FAILED', 'gone', { sent: 'unknown' }))
    expect(r.broken).toEqual(['CONNECTION_FAILED'])
    r.queue.online(false)
    await r.time.advance(5000)
    expect(a.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
  })
  test('a refusal after an uncertain try stays uncertain', async () => {
    const r = rig()
    const a = r.put('a')
    await r.time.quiet()
    await r.sends[0]?.fail(new Error('socket hang up'))
    await r.time.advance(100)
    await r.sends[1]?.answer({ a: failure('BROKER_REFUSED') })
    expect(a.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
  })
  test('tries that were certainly not sent leave it certain', async () => {
    const r = rig()
    const a = r.put('a', { timeoutMs: 1000 })
    await r.time.quiet()
    await r.sends[0]?.fail(new PolybusError('CONNECTION_FAILED', 'refused', { sent: 'no' }))
    await r.time.advance(60)
    await r.sends[1]?.answer({ a: failure('BROKER_BUSY') })
    r.queue.online(false)
    await r.time.advance(1000)
    expect(a.error).toMatchObject({ code: 'PUBLISH_TIMEOUT', sent: 'no', cause: { code: 'BROKER_BUSY' } })
    expect(a.error?.message).toMatch(/Its last try failed: ./)
  })
  test('tries are apart, and grow apart, up to 2 s', async () => {
    const r = rig()
    const at: number[] = []
    r.put('a', { timeoutMs: 1e9 })
    for (let index = 0; index < 12; index++) {
      while (r.sends.length <= index) await r.time.advance(1)
      at.push(r.time.now)
      await r.sends[index]?.answer({ a: failure('BROKER_BUSY') })
    }
    const gaps = at.slice(1).map((time, index) => time - (at[index] as number))
    expect(gaps[0]).toBeLessThanOrEqual(51)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(2001)
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(1000)
  })
  test('too few results are uncertain ones', async () => {
    const r = rig()
    r.put('a')
    const b = r.put('b', { timeoutMs: 40 })
    await r.time.quiet()
    r.sends[0]?.gate.resolve([{ ok: true, value: {} }])
    await r.time.advance(40)
    expect(b.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
  })
  test('a send that never answers is given up: its entries go again, uncertain, and its place is free', async () => {
    const r = rig({ limits: { messages: 10, bytes: 1000, concurrency: 1 } })
    const a = r.put('a', { timeoutMs: 60_000 })
    await r.time.advance(10_000)
    expect(r.queue.abandon(15_000)).toBe(false)
    await r.time.advance(5000)
    expect(r.queue.abandon(15_000)).toBe(true)
    await r.time.advance(100)
    expect(r.sends[0]?.signal.aborted).toBe(true)
    expect(batches(r)).toEqual(['a', 'a'])
    await r.sends[1]?.answer({ a: failure('BROKER_REFUSED') })
    expect(a.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
  })
})

describe('abort', () => {
  test('while queued: certainly not sent, and never sent', async () => {
    const r = rig()
    r.queue.online(false)
    const abort = new AbortController()
    const a = r.put('a', { signal: abort.signal })
    abort.abort('why')
    await r.time.quiet()
    expect(a.error).toMatchObject({ code: 'ABORTED', sent: 'no', cause: 'why' })
    r.queue.online(true)
    await r.time.quiet()
    expect(r.sends).toEqual([])
  })
  test('while sending: may be sent', async () => {
    const r = rig()
    const abort = new AbortController()
    const a = r.put('a', { signal: abort.signal })
    await r.time.quiet()
    abort.abort()
    await r.time.quiet()
    expect(a.error).toMatchObject({ code: 'ABORTED', sent: 'unknown' })
  })
  test('before: nothing is queued', async () => {
    const r = rig()
    const a = r.put('a', { signal: AbortSignal.abort() })
    await r.time.quiet()
    expect(a.error).toMatchObject({ code: 'ABORTED', sent: 'no' })
    expect(r.sends).toEqual([])
    expect(r.queue.size).toBe(0)
  })
})

describe('a full buffer', () => {
  test('wait: in order, until there is room; the deadline counts while waiting', async () => {
    const r = rig({ bufferMessages: 2, limits: { messages: 1, bytes: 1000, concurrency: 1 } })
    const all = ['a', 'b', 'c', 'd'].map((id) => r.put(id, { timeoutMs: id === 'c' ? 10 : 1000 }))
    await r.time.advance(10)
    expect(all[2]?.error).toMatchObject({ code: 'PUBLISH_TIMEOUT', sent: 'no' })
    await r.sends[0]?.answer()
    await r.sends[1]?.answer()
    await r.sends[2]?.answer()
    expect(batches(r)).toEqual(['a', 'b', 'd'])
    expect(all[3]?.state).toBe('resolved')
  })
  test('wait: bytes count, and one that is larger than the buffer still goes when it is alone', async () => {
    const r = rig({ bufferBytes: 10 })
    const a = r.put('a', { bytes: 6 })
    const b = r.put('b', { bytes: 50 })
    await r.time.quiet()
    expect(batches(r)).toEqual(['a'])
    await r.sends[0]?.answer()
    expect(batches(r)).toEqual(['a', 'b'])
    await r.sends[1]?.answer()
    expect([a.state, b.state]).toEqual(['resolved', 'resolved'])
  })
  test('wait: an abort ends the wait', async () => {
    const r = rig({ bufferMessages: 1 })
    r.put('a')
    const abort = new AbortController()
    const b = r.put('b', { signal: abort.signal })
    await r.time.quiet()
    abort.abort()
    await r.time.quiet()
    expect(b.error).toMatchObject({ code: 'ABORTED', sent: 'no' })
  })
  test('reject: at once, certainly not sent', async () => {
    const r = rig({ bufferMessages: 1, whenFull: 'reject' })
    r.put('a')
    const b = r.put('b')
    await r.time.quiet()
    expect(b.error).toMatchObject({ code: 'BUFFER_FULL', sent: 'no', retryable: true })
    await r.sends[0]?.answer()
    expect(r.put('c').state).toBe('open')
  })
  test('drop-oldest: the oldest that is not being sent rejects, and is never sent', async () => {
    const r = rig({ bufferMessages: 2, whenFull: 'drop-oldest' })
    r.queue.online(false)
    const [a, b, c] = [r.put('a'), r.put('b'), r.put('c')]
    await r.time.quiet()
    expect(a.error).toMatchObject({ code: 'DROPPED', sent: 'no' })
    r.queue.online(true)
    await r.time.quiet()
    expect(batches(r)).toEqual(['b c'])
    const d = r.put('d')
    await r.time.quiet()
    expect(d.error).toMatchObject({ code: 'BUFFER_FULL', sent: 'no' })
    await r.sends[0]?.answer()
    expect([b.state, c.state]).toEqual(['resolved', 'resolved'])
  })
  test('memory stays bounded while the broker is away, however many time out', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const r = rig({ bufferMessages: 50 })
    r.queue.online(false)
    const refs: WeakRef<object>[] = []
    for (let round = 0; round < 100; round++) {
      for (let index = 0; index < 50; index++) {
        const outgoing: Outgoing = { handover: 0, message: wire(), to: { kind: 'channel', channel: 'c' } }
        refs.push(new WeakRef(outgoing))
        r.queue.add({ outgoing, bytes: 1, key: undefined, timeoutMs: 10, signal: undefined }).catch(() => {})
      }
      await r.time.advance(10)
    }
    expect(r.queue.size).toBe(0)
    await r.time.quiet()
    collect()
    expect(refs.filter((ref) => ref.deref()).length).toBeLessThan(1500)
  })
  test('what is given up behind a key that is being sent is let go', async () => {
    const r = rig({ bufferMessages: 1e6, bufferBytes: 1e9, limits: { messages: 1, bytes: 1000, concurrency: 1 } })
    r.put('hangs', { key: 'k' })
    const refs: WeakRef<object>[] = []
    for (let round = 0; round < 100; round++) {
      for (let index = 0; index < 50; index++) {
        const outgoing: Outgoing = { handover: 0, message: wire(), to: { kind: 'channel', channel: 'c' } }
        refs.push(new WeakRef(outgoing))
        r.queue
          .add({ outgoing, bytes: 1, key: r.queue.lane(r.lanes, 'k', true), timeoutMs: 10, signal: undefined })
          .catch(() => {})
      }
      await r.time.advance(10)
    }
    await r.time.quiet()
    expect(r.lanes.get('k')?.behind?.size).toBeLessThan(2500)
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    collect()
    expect(refs.filter((ref) => ref.deref()).length).toBeLessThan(200)
  })
})

describe('overload', () => {
  /** Publishes `perMs` a millisecond for `ms`, to a broker that takes 10 in `tookMs`, one after the other. Answers which resolved. */
  const overloaded = async (
    perMs: number,
    tookMs: number,
    ms: number,
    key?: (n: number) => string,
  ): Promise<Rig & { all: Watched<PublishReceipt>[] }> => {
    const r = rig({ bufferMessages: 100_000, limits: { messages: 10, bytes: 1000, concurrency: 1 } })
    const all: Watched<PublishReceipt>[] = []
    let answered = 0
    let sentAt: number | undefined
    for (let at = 0; at < ms; at++) {
      for (let n = 0; n < perMs; n++)
        all.push(r.put(`m${all.length}`, { timeoutMs: 200, ...(key && { key: key(all.length) }) }))
      await r.time.advance(1)
      if (r.sends.length > answered) sentAt ??= r.time.now
      if (sentAt !== undefined && r.time.now - sentAt >= tookMs) {
        sentAt = undefined
        await r.sends[answered++]?.answer()
      }
    }
    return { ...r, all }
  }
  const resolved = (all: readonly Watched<unknown>[]): number => all.filter(({ state }) => state === 'resolved').length

  test.each([
    ['without keys', undefined],
    ['of five keys', (n: number) => `k${n % 5}`],
  ])(
    'what is published faster than the broker takes it, %s: it is kept busy with what can still be confirmed',
    async (_, key) => {
      const { all, sends } = await overloaded(1, 20, 1500, key)
      // It could take 750 in all.
      const late = all.filter(({ error }) => error?.code === 'PUBLISH_UNCERTAIN').length
      expect(resolved(all)).toBeGreaterThan(500)
      expect(late).toBeLessThan(100)
      expect(
        all.filter(({ error }) => error && error.code !== 'PUBLISH_UNCERTAIN' && error.code !== 'PUBLISH_TIMEOUT'),
      ).toEqual([])
      const sent = new Set(sends.flatMap(({ ids }) => ids))
      for (const [n, { error }] of all.entries())
        if (error?.code === 'PUBLISH_TIMEOUT')
          expect({ n, sent: sent.has(`m${n}`), says: error.sent }).toEqual({ n, sent: false, says: 'no' })
    },
  )
  test('a broker that stood still costs nothing of what still has time, whatever was late meanwhile', async () => {
    const r = rig({ limits: { messages: 10, bytes: 1000, concurrency: 1 } })
    const first = [r.put('a', { timeoutMs: 1000 }), r.put('b', { timeoutMs: 10 })]
    const queued = [r.put('c', { timeoutMs: 1000 }), r.put('d', { timeoutMs: 1000, key: 'k' })]
    await r.time.advance(900)
    await r.sends[0]?.answer()
    const fresh = r.put('e', { timeoutMs: 1000 })
    await r.time.advance(10)
    for (const send of r.sends.slice(1)) await send.answer()
    expect([...first, ...queued, fresh].map(({ state }) => state)).toEqual([
      'resolved',
      'rejected',
      'resolved',
      'resolved',
      'resolved',
    ])
  })
  test('what probably comes too late goes after the rest, and is what drop-oldest drops first', async () => {
    const r = rig({ bufferMessages: 5, whenFull: 'drop-oldest', limits: { messages: 1, bytes: 1000, concurrency: 1 } })
    const slow = r.put('slow', { timeoutMs: 400 })
    await r.time.advance(300)
    const old = r.put('old', { timeoutMs: 400 })
    await r.time.advance(150)
    const fresh = [r.put('fresh 1', { timeoutMs: 400 }), r.put('fresh 2', { timeoutMs: 400 })]
    await r.time.advance(80)
    await r.sends[0]?.answer()
    expect(slow.error?.code).toBe('PUBLISH_UNCERTAIN')
    expect(batches(r)).toEqual(['slow', 'fresh 1'])
    const more = [
      r.put('more 1', { timeoutMs: 400 }),
      r.put('more 2', { timeoutMs: 400 }),
      r.put('more 3', { timeoutMs: 400 }),
    ]
    expect(old.error?.code ?? (await r.time.quiet(), old.error?.code)).toBe('DROPPED')
    for (let n = 1; n < r.sends.length; n++) await r.sends[n]?.answer()
    expect([...fresh, ...more].map(({ state }) => state)).toEqual(Array(5).fill('resolved'))
  })
  test('a preparation that takes half of the time is no reason not to send', async () => {
    const r = rig({ limits: { messages: 10, bytes: 1000, concurrency: 1 } })
    const slow = r.put('slow', { timeoutMs: 100 })
    await r.time.advance(150)
    await r.sends[0]?.answer()
    expect(slow.error?.code).toBe('PUBLISH_UNCERTAIN')
    const outgoing: Outgoing = { handover: 1, message: wire({ id: 'x' }), to: { kind: 'channel', channel: 'things' } }
    const prepared = watch(
      r.queue.add({
        outgoing,
        bytes: 1,
        key: undefined,
        timeoutMs: 100,
        deadlineAt: r.time.now + 30,
        signal: undefined,
      }),
    )
    await r.time.quiet()
    await r.sends[1]?.answer()
    expect(prepared.state).toBe('resolved')
  })
  test('where every answer comes too late the fresh ones are still tried', async () => {
    const r = rig({ limits: { messages: 10, bytes: 1000, concurrency: 1 } })
    for (let n = 0; n < 5; n++) {
      const one = r.put(`m${n}`, { timeoutMs: 100 })
      await r.time.advance(150)
      expect(one.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
      await r.sends[n]?.answer()
    }
    expect(batches(r)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4'])
  })
})

describe('close', () => {
  const never = (): AbortSignal => new AbortController().signal
  test('with nothing under way it ends at once; then nothing is accepted', async () => {
    const r = rig()
    await r.queue.close(never())
    const a = r.put('a')
    await r.time.quiet()
    expect(a.error).toMatchObject({ code: 'CLOSED', sent: 'no' })
  })
  test('what was accepted is sent within the grace time', async () => {
    const r = rig({ bufferMessages: 1, limits: { messages: 1, bytes: 1000, concurrency: 1 } })
    const [a, b] = [r.put('a'), r.put('b')]
    const closed = watch(r.queue.close(never()))
    await r.time.quiet()
    expect(closed.state).toBe('open')
    await r.sends[0]?.answer()
    await r.sends[1]?.answer()
    expect([a.state, b.state, closed.state]).toEqual(['resolved', 'resolved', 'resolved'])
    expect(r.time.pending).toBe(false)
  })
  test('past it the rest rejects: certain where it was never sent, else uncertain', async () => {
    const r = rig({ bufferMessages: 2, limits: { messages: 1, bytes: 1000, concurrency: 1 } })
    const [a, b, c] = [r.put('a'), r.put('b'), r.put('c')]
    await r.time.quiet()
    const over = new AbortController()
    const closed = watch(r.queue.close(over.signal))
    over.abort()
    await r.time.quiet()
    expect(a.error).toMatchObject({ code: 'PUBLISH_UNCERTAIN', sent: 'unknown' })
    expect(b.error).toMatchObject({ code: 'CLOSED', sent: 'no' })
    expect(c.error).toMatchObject({ code: 'CLOSED', sent: 'no' })
    expect(closed.state).toBe('resolved')
    expect(r.sends[0]?.signal.aborted).toBe(true)
    expect(r.time.pending).toBe(false)
  })
})
