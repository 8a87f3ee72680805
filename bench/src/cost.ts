// What each thing that core can do for a consumer costs it, beside the plain one in the same rounds. The channel is filled first, then the
// consumer is started: what is timed is consuming alone.
import { memoryStore } from '@polybus/idempotency'
import {
  type Channel,
  channel,
  type ChannelOptions,
  connect,
  type ConnectOptions,
  consumer,
  fixed,
  type Middleware,
  NonRetryable,
  type Policy,
  type Schema,
  trust,
} from 'polybus'
import { GROUP, inFlight, type RawBroker, within } from './brokers/raw.ts'
import { CONCURRENCY, WIDTH } from './contenders.ts'
import { collector } from './heap.ts'
import { median } from './measure.ts'
import { pairedRatio, type Ratio } from './paired.ts'
import { indexOf, type Make, type Purchase, purchase, purchasesOf } from './purchases.ts'
import { alternating, freshNames } from './rounds.ts'
import { shown, type Stage } from './stage.ts'
import { createTally, type Tally, type Timed } from './tally.ts'
import { LIMIT_MS, onChannel } from './trial.ts'

export interface CostRow {
  readonly name: string
  readonly what: string
  /** Messages a second, a median. */
  readonly median: number
  /** This process's own microseconds a message, a median, and by how much that is more than the plain consumer's in the same round. */
  readonly cpuMicros: number
  readonly more: number
  /** Of its rate to the plain consumer's; undefined for that itself. */
  readonly ratio: Ratio | undefined
}
export interface Costs {
  readonly bytes: number
  readonly messages: number
  readonly rows: readonly CostRow[]
}

type Orders = Channel<Purchase, Purchase, typeof GROUP>
type ChannelParts = Partial<ChannelOptions<Schema<Purchase>, typeof GROUP>>
interface Feature {
  readonly name: string
  readonly what: string
  readonly channel?: ChannelParts
  /** As it was published, where that is another version of the channel. */
  readonly written?: ChannelParts
  /** Anew for each run: a store knows what it has seen. */
  readonly policy?: () => Partial<Policy<Purchase, undefined>>
  readonly bus?: ConnectOptions
  /** What the handler does before it counts a message. */
  readonly before?: (order: Purchase, attempt: number) => void
  /** And after. */
  readonly after?: (order: Purchase) => void
}

const customer = (order: Purchase): string => order.customer
const store = (): Pick<Policy<Purchase, undefined>, 'idempotency'> => ({ idempotency: memoryStore({ max: 1_000_000 }) })
const nothing: Middleware = (_ctx, next) => next()
const retried = { attempts: 5, backoff: fixed('1ms'), wait: 'held' } as const
const isTenth = (order: Purchase): boolean => indexOf(order) % 10 === 0

const PLAIN = { retry: false, deadLetter: false } as const
export const FEATURES: readonly Feature[] = [
  {
    name: 'plain',
    what: `concurrency ${CONCURRENCY}, no schema, no key, one attempt, no dead letters, the default time-out of 30 s`,
  },
  { name: 'zod', what: 'each message is validated', channel: { schema: purchase } },
  { name: 'retry', what: 'five attempts; none is needed', policy: () => ({ retry: retried }) },
  {
    name: 'retry used',
    what: 'every tenth message fails once, and is tried again 1 ms later',
    policy: () => ({ retry: retried }),
    before(order, attempt) {
      if (attempt === 1 && isTenth(order)) throw new Error('the first attempt')
    },
  },
  { name: 'dead letters', what: 'what fails for good is kept; nothing does', policy: () => ({ deadLetter: true }) },
  {
    name: 'dead letters used',
    what: 'every tenth message becomes one',
    policy: () => ({ deadLetter: true }),
    after(order) {
      if (isTenth(order)) throw new NonRetryable('no good')
    },
  },
  { name: 'time-out', what: 'of 1 s in the place of the default', policy: () => ({ timeout: '1s' }) },
  { name: 'idempotency', what: 'the store in memory', policy: store },
  { name: 'key', what: 'order by key', channel: { key: customer } },
  { name: 'middleware', what: 'one that does nothing', policy: () => ({ use: [nothing] }) },
  {
    name: 'trace, observe',
    what: 'a tracer around publishes and attempts that does nothing, and who listens to events',
    bus: { trace: { publish: (_info, run) => run(), attempt: (_info, run) => run() }, observe: () => undefined },
  },
  {
    name: 'upcast',
    what: "data of the version before is made today's",
    channel: { version: 2, upcast: { 1: (order: Purchase) => ({ ...order }) } },
    written: { version: 1 },
  },
  {
    name: 'all',
    what: 'zod, retry, dead letters, idempotency, key, middleware, tracer',
    channel: { schema: purchase, key: customer },
    policy: () => ({ ...store(), retry: retried, deadLetter: true, use: [nothing] }),
    bus: { trace: { publish: (_info, run) => run(), attempt: (_info, run) => run() }, observe: () => undefined },
  },
]

export interface CostStage extends Pick<Stage, 'rounds' | 'warmUp' | 'sizes' | 'only' | 'progress' | 'url'> {
  readonly broker: string
  readonly messages: number
  /** Undefined for the one in memory. */
  readonly raw: RawBroker | undefined
}

export async function costs(stage: CostStage): Promise<Costs> {
  const { broker, url, raw, rounds, messages, sizes, only } = stage
  const [bytes] = sizes
  const make = purchasesOf(bytes)
  const fresh = freshNames()
  const collect = collector()
  const chosen = FEATURES.filter(({ name }, index) => index === 0 || name.includes(only))
  const results = await alternating(stage, chosen, async (feature, round) => {
    const title = `${broker}, round ${round} of ${rounds}: consuming with ${feature.name}`
    shown(stage, title)
    const name = fresh()
    const run = (): Promise<Timed> => within(LIMIT_MS, title, consumed(url, name, feature, make, messages, collect))
    return raw ? onChannel(raw, name, title, run) : run()
  })
  shown(stage, '')
  return { bytes, messages, rows: rowsOf(chosen, results) }
}

async function consumed(
  url: string,
  name: string,
  { channel: parts, written, policy, bus: options, before, after }: Feature,
  make: Make,
  messages: number,
  collect: () => void,
): Promise<Timed> {
  const define = (own: ChannelParts | undefined): Orders =>
    channel(name, { schema: trust<Purchase>(), groups: [GROUP], ...own })
  const bus = await connect({ broker: url, logger: false, ...options })
  try {
    const source = define({ ...parts, ...written, ...(written && { upcast: undefined }) })
    await bus.prepare(source)
    await inFlight(0, messages, WIDTH, (index) => bus.publish(source, make(index)))
    collect()
    const tally: Tally = createTally(messages)
    await bus.start(
      consumer(define(parts), GROUP, {
        concurrency: CONCURRENCY,
        ...PLAIN,
        ...policy?.(),
        async handler(order, { attempt }) {
          before?.(order, attempt)
          tally.seen(order)
          after?.(order)
        },
      }),
    )
    tally.start()
    return await tally.done
  } finally {
    await bus.close()
  }
}

function rowsOf(features: readonly Feature[], results: ReadonlyMap<Feature, readonly Timed[]>): readonly CostRow[] {
  const rates = (feature: Feature | undefined): readonly number[] =>
    ((feature && results.get(feature)) ?? []).map(({ messages, ms }) => (messages / ms) * 1000)
  const cpus = (feature: Feature | undefined): readonly number[] =>
    ((feature && results.get(feature)) ?? []).map(({ messages, cpuMs }) => (cpuMs / messages) * 1000)
  const [plain] = features
  const base = cpus(plain)
  return features.map((feature) => ({
    name: feature.name,
    what: feature.what,
    median: median(rates(feature)),
    cpuMicros: median(cpus(feature)),
    more: median(cpus(feature).map((micros, round) => micros - (base[round] ?? NaN))),
    ratio: feature === plain ? undefined : pairedRatio(rates(feature), rates(plain)),
  }))
}
