// What users' own code may do wrong: none of it may lose a message, hang, or end the process.
import {
  type Bus,
  type BusOptions,
  channel,
  consumer,
  createBus,
  fixed,
  type Middleware,
  type Policy,
  PolybusError,
  trust,
} from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { memory, type MemoryAdapter } from '../src/index.ts'

interface Note {
  readonly text: string
}
const notes = channel('notes', { schema: trust<Note>(), groups: ['print'] })
const keyed = channel('keyed', { schema: trust<{ key: string }>(), key: (value) => value.key, groups: ['print'] })

async function open(options: BusOptions = {}, adapter: MemoryAdapter = memory()): Promise<Bus> {
  const unhandled: unknown[] = []
  const note = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const bus = await createBus(adapter, { logger: false, grace: '100ms', ...options })
  onTestFinished(async () => {
    await bus.close()
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })
  return bus
}
const print = (
  handler: (note: Note) => unknown,
  policy: Partial<Policy<Note, undefined>> = {},
): ReturnType<typeof consumer> =>
  consumer(notes, 'print', { retry: false, ...policy, handler: async (value) => void (await handler(value)) })
const deadLetters = async (bus: Bus) => (await bus.stats(notes, 'print')).deadLetters
const fail = () => {
  throw new Error('boom')
}

test.each<[string, Middleware]>([
  ['does not wait for next()', async (_ctx, next) => void next()],
  [
    'leaves before next() ends',
    async (_ctx, next) => {
      await Promise.race([next().catch(() => {}), Promise.resolve()])
    },
  ],
])('memory: a middleware that %s does not turn a failure into an acknowledgement', async (what, middleware) => {
  const bus = await open()
  let ended = false
  const handler = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    ended = true
    fail()
  }
  await bus.start(print(handler, { use: [middleware] }))
  await bus.publish(notes, { text: 'a' })
  await vi.waitFor(async () => expect((await bus.stats(notes, 'print')).inFlight).toBe(0))
  expect(ended).toBe(true)
  // Who catches the failure may swallow it; who never looked may not.
  expect(await deadLetters(bus)).toBe(what.startsWith('does not wait') ? 1 : 0)
})

test('memory: a middleware may swallow what it waited for', async () => {
  const bus = await open()
  const swallow: Middleware = async (_ctx, next) => {
    try {
      await next()
    } catch {
      // Wanted.
    }
  }
  await bus.start(print(fail, { use: [swallow] }))
  await bus.publish(notes, { text: 'a' })
  await vi.waitFor(async () => expect((await bus.stats(notes, 'print')).inFlight).toBe(0))
  expect(await deadLetters(bus)).toBe(0)
})

test('memory: a tracer that is a class, throws, and never ends, changes nothing', async () => {
  class Tracer {
    readonly seen: string[] = []
    async publish<T>(_info: object, run: () => Promise<T>): Promise<T> {
      const result = await run()
      this.seen.push('publish')
      if (this.seen.length > 0) throw new Error('the tracer is broken')
      return result
    }
    async attempt(_info: object, run: () => Promise<void>): Promise<void> {
      this.seen.push('attempt')
      await run()
      await new Promise(() => {})
    }
  }
  const trace = new Tracer()
  const bus = await open({ trace })
  const seen: string[] = []
  await bus.start(print(({ text }) => seen.push(text)))
  await bus.publish(notes, { text: 'a' })
  await vi.waitFor(async () => expect((await bus.stats(notes, 'print')).inFlight).toBe(0))
  expect([seen, trace.seen]).toEqual([['a'], ['attempt', 'publish']])
})

test.each<[string, () => unknown]>([
  ['undefined', () => Promise.reject(undefined)],
  ['a proxy that refuses every look', () => Promise.reject(hostileProxy())],
  [
    'an error with a getter that throws',
    () =>
      Promise.reject(
        Object.defineProperty(new Error('x'), Symbol.for('polybus.retry-after'), {
          get: fail,
        }),
      ),
  ],
  [
    'an error that asks for NaN',
    () => Promise.reject(Object.assign(new Error('x'), { [Symbol.for('polybus.retry-after')]: NaN })),
  ],
])('memory: a handler that throws %s ends in the dead letters after its attempts', async (_what, handler) => {
  const bus = await open()
  await bus.start(print(handler, { retry: { attempts: 2, backoff: fixed('1ms') } }))
  await bus.publish(notes, { text: 'a' })
  await vi.waitFor(async () => expect(await deadLetters(bus)).toBe(1))
  for await (const letter of bus.deadLetters(notes, 'print').list()) expect(letter.attempts).toBe(2)
})

const hostileProxy = () => {
  const { proxy, revoke } = Proxy.revocable(new Error('x'), {})
  revoke()
  return proxy
}

test('memory: a thenable that is no promise is waited for', async () => {
  const bus = await open()
  // As query builders are: `then` answers with nothing.
  // oxlint-disable-next-line unicorn/no-thenable
  const builder = { then: (done: () => void) => void setImmediate(done) }
  await bus.start(consumer(notes, 'print', { retry: false, handler: () => builder as never }))
  await bus.publish(notes, { text: 'a' })
  await vi.waitFor(async () => {
    const { backlog, inFlight, deadLetters: dead } = await bus.stats(notes, 'print')
    expect([backlog, inFlight, dead]).toEqual([0, 0, 0])
  })
})

test.each([
  [{ signal: {} }, 'INVALID_OPTION', 'publish().signal'],
  [{ correlationId: 5 }, 'INVALID_OPTION', 'publish().correlationId'],
  [{ id: '' }, 'INVALID_OPTION', 'publish().id'],
  [{ headers: null }, 'INVALID_MESSAGE', 'headers'],
  [{ headers: new Map([['a', 'b']]) }, 'INVALID_MESSAGE', 'headers'],
  [{ headers: ['a'] }, 'INVALID_MESSAGE', 'headers'],
])('memory: publish with %j is refused by name, and nothing is sent', async (options, code, field) => {
  const bus = await open()
  const error: unknown = await bus.publish(notes, { text: 'a' }, options as never).catch((cause: unknown) => cause)
  expect(error).toMatchObject({ code, message: expect.stringContaining(field) })
  expect((await bus.stats(notes, 'print')).backlog).toBe(0)
})

test('memory: a logger and an observer that throw cost nothing', async () => {
  const bus = await open({ logger: { debug: fail, info: fail, warn: fail, error: fail }, observe: fail })
  await bus.start(print(fail))
  await bus.publish(notes, { text: 'a' })
  await vi.waitFor(async () => expect(await deadLetters(bus)).toBe(1))
})

test.each([
  ['its deadline', { timeout: '20ms' }, 'PUBLISH_TIMEOUT'],
  ['its signal', { signal: AbortSignal.timeout(20) }, 'ABORTED'],
] as const)('memory: a publish middleware that never ends is ended by %s', async (_what, options, code) => {
  const bus = await open({ publishing: { use: [() => new Promise(() => {})] } })
  const error: unknown = await bus.publish(notes, { text: 'a' }, options).catch((cause: unknown) => cause)
  expect(PolybusError.is(error, code) && error.sent).toBe('no')
})

test('memory: publishes that were given up while they waited for room are not kept', async () => {
  const adapter = memory()
  const bus = await open({ publishing: { bufferMessages: 1 } }, adapter)
  await bus.publish(notes, { text: 'first' })
  adapter.faults.down()
  const held = [0, 1].map(() => bus.publish(notes, { text: 'waits' }, { timeout: '1m' }))
  const text = 'x'.repeat(100_000)
  const before = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
  for (let round = 0; round < 40; round++)
    await Promise.allSettled(Array.from({ length: 100 }, () => bus.publish(notes, { text }, { timeout: '1ms' })))
  // 400 MB were given up; what is kept is less than a quarter of it, garbage included.
  expect(process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers - before).toBeLessThan(250e6)
  adapter.faults.up()
  await Promise.all(held)
})

test('memory: with drop-oldest a new publish takes the place of one that waits for its next try', async () => {
  const adapter = memory()
  const bus = await open({ publishing: { bufferMessages: 3, whenFull: 'drop-oldest' } }, adapter)
  await bus.publish(notes, { text: 'first' })
  const undo = adapter.faults.refuse(() => new PolybusError('BROKER_BUSY'))
  const codes: unknown[] = []
  const sent = [1, 2, 3, 4, 5].map(async (index) => {
    const published = bus.publish(notes, { text: String(index) })
    await published.catch((error: unknown) => codes.push([index, (error as PolybusError).code]))
  })
  await vi.waitFor(() =>
    expect(codes).toEqual([
      [1, 'DROPPED'],
      [2, 'DROPPED'],
    ]),
  )
  undo()
  await Promise.all(sent)
})

test('memory: key and body are of one moment, however late the message leaves', async () => {
  const bus = await open()
  const reused = { key: '' }
  const published = ['a', 'b', 'c'].map((key) => {
    reused.key = key
    return bus.publish(keyed, reused)
  })
  const seen: (string | undefined)[] = []
  await bus.start(consumer(keyed, 'print', async (value, { message }) => void seen.push(value.key, message.key)))
  await Promise.all(published)
  await vi.waitFor(() =>
    expect(seen.map(String).toSorted((a, b) => a.localeCompare(b))).toEqual(['a', 'a', 'b', 'b', 'c', 'c']),
  )
})

test('memory: what waits its turn loses no lease that cannot be renewed', async () => {
  const bus = await open({}, memory({ leaseMs: 300, abilities: { renew: false } }))
  let handled = 0
  await bus.start(
    consumer(notes, 'print', {
      concurrency: 1,
      timeout: '250ms',
      handler: async () => {
        await new Promise((resolve) => setTimeout(resolve, 60))
        handled++
      },
    }),
  )
  await Promise.all(Array.from({ length: 30 }, (_, index) => bus.publish(notes, { text: String(index) })))
  await vi.waitFor(() => expect(handled).toBe(30), { timeout: 10_000 })
  expect(await deadLetters(bus)).toBe(0)
})

test('memory: what was on its way when the connection was cut does not overtake', async () => {
  for (let round = 0; round < 10; round++) {
    const adapter = memory()
    const bus = await open({}, adapter)
    const started: string[] = []
    await bus.start(
      consumer(keyed, 'print', {
        concurrency: 4,
        handler: async (_value, { message }) => {
          if (!started.includes(message.id)) started.push(message.id)
          await new Promise((resolve) => setImmediate(resolve))
        },
      }),
    )
    const ids = Array.from({ length: 31 }, (_, index) => `m-${index}`)
    await Promise.all(ids.slice(0, 30).map((id) => bus.publish(keyed, { key: 'k' }, { id })))
    adapter.faults.loseAnswer(1)
    await bus.publish(keyed, { key: 'k' }, { id: 'm-30' })
    await vi.waitFor(() => expect(started).toHaveLength(31), { timeout: 5000 })
    expect(started).toEqual(ids)
  }
})
