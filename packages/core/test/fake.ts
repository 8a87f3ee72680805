// Time that stands still, and an adapter that does what a test tells it.
import type {
  Adapter,
  Call,
  Capabilities,
  ChannelSpec,
  ConnectCall,
  Delivery,
  Feed,
  Outgoing,
  Receipt,
  Result,
  Settlement,
  Source,
} from '../src/adapter.ts'
import { type Clock, createClock } from '../src/clock.ts'
import { PolybusError } from '../src/errors.ts'
import type { WireMessage } from '../src/message.ts'

export const EPOCH: number = Date.UTC(2025, 0, 1)

export interface Manual {
  readonly clock: Clock
  readonly now: number
  /** Timers in their order, and what each sets off before the next. */
  advance(ms: number): Promise<void>
  /** Lets everything run that needs no time. */
  quiet(): Promise<void>
  readonly pending: boolean
}

export function manual(): Manual {
  let now = 0
  const clock = createClock({ now: () => now, wall: () => EPOCH + now, arm: () => {} })
  const quiet = async (): Promise<void> => {
    for (let turn = 0; turn < 8; turn++) await clock.turn()
  }
  return {
    clock,
    quiet,
    get now() {
      return now
    },
    get pending() {
      return clock.nextAt() !== undefined
    },
    async advance(ms) {
      const target = now + ms
      await quiet()
      for (let next = clock.nextAt(); next !== undefined && next <= target; next = clock.nextAt()) {
        now = Math.max(now, next)
        clock.wake()
        await quiet()
      }
      now = target
      await quiet()
    },
  }
}

export const wire = (over: Partial<WireMessage> = {}): WireMessage => ({
  id: 'm-1',
  source: 'test',
  type: 'things',
  time: EPOCH,
  key: undefined,
  headers: [],
  body: Buffer.from('{}'),
  contentType: 'application/json',
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
  ...over,
})

let tokens = 0
export const delivery = (over: Partial<Delivery> = {}): Delivery => ({
  message: wire(),
  token: ++tokens,
  lane: '0',
  position: `p-${tokens}`,
  count: null,
  leaseMs: null,
  ...over,
})

export const capabilities = (over: Partial<Capabilities> = {}): Capabilities => ({
  ordering: true,
  groups: 'any',
  from: ['beginning', 'end'],
  delay: { kind: 'exact', maxMs: 900_000 },
  move: 'atomic',
  settlement: 'single',
  lease: { ms: null, renewable: false, maxHoldMs: null },
  lateSettle: 'always',
  crashGuard: null,
  persistent: true,
  releaseHeaders: true,
  orderedBatch: true,
  headers: { ordered: true, duplicates: true, empty: true, binary: true },
  tombstones: true,
  maxBytes: null,
  browse: 'cursor',
  rewind: [],
  stats: { backlog: null, inFlight: null, oldestAgeMs: null, deadLetters: null },
  transactional: false,
  priority: false,
  delayedPublish: false,
  processes: false,
  credentials: false,
  ...over,
})

export const ok: Result<void> = { ok: true, value: undefined }
export const failure = (
  code: 'CONNECTION_FAILED' | 'LEASE_LOST' | 'BROKER_BUSY' | 'BROKER_REFUSED',
): Result<never> => ({
  ok: false,
  error: new PolybusError(code),
})

/** A promise with its ends outside. */
export interface Deferred<T = void> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}
export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((done, fail) => {
    resolve = done
    reject = fail
  })
  return { promise, resolve, reject }
}

/** What a promise came to, without waiting for it. */
export interface Watched<T> {
  state: 'open' | 'resolved' | 'rejected'
  value: T | undefined
  error: PolybusError | undefined
}
export function watch<T>(promise: Promise<T>): Watched<T> {
  const seen: Watched<T> = { state: 'open', value: undefined, error: undefined }
  promise.then(
    (value) => Object.assign(seen, { state: 'resolved', value }),
    (error: unknown) => Object.assign(seen, { state: 'rejected', error }),
  )
  return seen
}

export const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'resolved'
  } catch (error) {
    return PolybusError.is(error) ? error.code : `not ours: ${String(error)}`
  }
}
export const thrown = (run: () => unknown): PolybusError => {
  try {
    run()
  } catch (error) {
    if (PolybusError.is(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** A feed whose receive waits until something is pushed, and that remembers what it was told. */
export interface FakeFeed extends Feed {
  readonly source: Source
  readonly settled: Settlement[]
  readonly closed: boolean
  push(...deliveries: Delivery[]): void
  break(error: PolybusError): void
}

export interface FakeAdapter extends Adapter {
  readonly feeds: FakeFeed[]
  readonly sent: Outgoing[]
  readonly connects: number
  onConnect: (call: ConnectCall) => Promise<void>
  onSend: (batch: readonly Outgoing[], call: Call) => Promise<readonly Result<Receipt>[]>
  onSubscribe: (source: Source, call: Call) => Promise<void>
  onSettle: (batch: readonly Settlement[]) => Promise<readonly Result<void>[]>
  onPlan: (channels: readonly ChannelSpec[]) => Promise<void>
}

export function fakeAdapter(clock: Clock, able: Partial<Capabilities> = {}): FakeAdapter {
  const feeds: FakeFeed[] = []
  const sent: Outgoing[] = []
  let connects = 0
  const adapter: FakeAdapter = {
    name: 'fake',
    seam: 1,
    clock,
    limits: { messages: 100, bytes: 1_000_000, concurrency: 4 },
    feeds,
    sent,
    get connects() {
      return connects
    },
    onConnect: () => Promise.resolve(),
    onSend: (batch) => Promise.resolve(batch.map(() => ({ ok: true, value: {} }))),
    onSubscribe: () => Promise.resolve(),
    onSettle: (batch) => Promise.resolve(batch.map(() => ok)),
    onPlan: () => Promise.resolve(),
    capabilities: () => capabilities(able),
    connect(call) {
      connects++
      return adapter.onConnect(call)
    },
    size: ({ body }) => body?.byteLength ?? 0,
    async send(batch, call) {
      const results = await adapter.onSend(batch, call)
      sent.push(...batch.filter((_, index) => results[index]?.ok))
      return results
    },
    async subscribe(source, call) {
      await adapter.onSubscribe(source, call)
      const queue: Delivery[] = []
      const settled: Settlement[] = []
      let wake: (() => void) | undefined
      let broken: PolybusError | undefined
      let closed = false
      const feed: FakeFeed = {
        source,
        settled,
        get closed() {
          return closed
        },
        push(...more) {
          queue.push(...more)
          wake?.()
        },
        break(error) {
          broken = error
          wake?.()
        },
        async receive(max, { signal }) {
          if (queue.length === 0 && !broken && !signal.aborted)
            await new Promise<void>((resolve) => {
              const timer = clock.timer(1000, () => done())
              const done = (): void => {
                timer.cancel()
                resolve()
              }
              wake = done
              signal.addEventListener('abort', done, { once: true })
            })
          wake = undefined
          if (broken) throw broken
          return queue.splice(0, max)
        },
        async settle(batch) {
          const results = await adapter.onSettle(batch)
          settled.push(...batch.filter((_, index) => results[index]?.ok))
          return results
        },
        state: () => ({ connected: true, lanes: ['0'], buffered: queue.length }),
        close() {
          closed = true
          return Promise.resolve()
        },
      }
      feeds.push(feed)
      return feed
    },
    close: () => Promise.resolve(),
    topology: {
      plan: async (channels) => {
        await adapter.onPlan(channels)
        return { changes: [], conflicts: [] }
      },
      apply: () => Promise.resolve(),
    },
  }
  return adapter
}
