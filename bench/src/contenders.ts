// The scenarios on a real broker: the raw client and Polybus, publishing and consuming.
import { type Bus, type BusEvent, channel, type Channel, connect, consumer, type Run, trust } from 'polybus'
import { attributesFor, GROUP, inFlight, type Kind, type RawBroker } from './brokers/raw.ts'
import { timed } from './measure.ts'
import { type Make, type Purchase, purchase } from './purchases.ts'
import { createTally, type Tally, type Timed } from './tally.ts'

/** Publishes in flight of Polybus. */
export const WIDTH = 1000
export const CONCURRENCY = 32
const BATCH = 250
/** Sent or handled before the clock runs: connections and lanes are open then. */
export const warmUp = (messages: number): number => Math.ceil(messages / 20)

/** Where a contender runs: a channel of its own. */
export interface Ground {
  readonly url: string
  readonly raw: RawBroker
  readonly channel: string
  readonly make: Make
  readonly messages: number
}
export interface Ready {
  run(): Promise<Timed>
  /** Ends it in good order: what was handled is settled then. */
  close(): Promise<void>
  /** How many messages the group has not finished, then. */
  readonly left: number
}
export interface Contender {
  readonly direction: 'publish' | 'consume'
  readonly name: string
  readonly what: string
  /** How much of a round's messages it gets: what is slow by nature gets less. */
  readonly share: number
  prepare(ground: Ground): Promise<Ready>
}

export const RAW_NAIVE = 'raw naive'
export const RAW_TUNED = 'raw tuned'
/** As tuned, of messages that have no id to know a duplicate by, no type and no time: it promises less. */
export const RAW_BARE = 'raw bare'
const RAW: ReadonlySet<string> = new Set([RAW_NAIVE, RAW_TUNED, RAW_BARE])
export const isRaw = ({ name }: Pick<Contender, 'name'>): boolean => RAW.has(name)

export function contendersOf({ naive, what, also }: Kind): readonly Contender[] {
  const other = also && overAnotherClient(also)
  return [
    publishing(RAW_NAIVE, what.publishNaive, naive.publish, ({ raw, channel, make }) =>
      raw.publishNaive(channel, make),
    ),
    publishing(RAW_TUNED, `${what.publishTuned}, with the attributes of Polybus`, 1, ({ raw, channel, make }) =>
      raw.publishTuned(channel, make, attributesFor(channel)),
    ),
    publishing(RAW_BARE, 'as tuned, of bodies alone', 1, ({ raw, channel, make }) => raw.publishTuned(channel, make)),
    publishing('polybus', `bus.publish of one message, ${WIDTH} in flight, no schema`, 1, (ground) =>
      ofBus(ground, trusting),
    ),
    publishing('polybus + zod', `the same, each validated by zod`, 1, (ground) => ofBus(ground, checked)),
    ...(other ? [other.publish] : []),
    consuming(RAW_NAIVE, what.consumeNaive, naive.consume, ({ raw, channel }, tally) =>
      raw.consumeNaive(channel, handler(tally), tally.fail),
    ),
    consuming(RAW_TUNED, what.consumeTuned, 1, ({ raw, channel }, tally) =>
      raw.consumeTuned(channel, handler(tally), tally.fail),
    ),
    consuming(RAW_BARE, 'as tuned, of bodies alone', 1, ({ raw, channel }, tally) =>
      raw.consumeTuned(channel, handler(tally), tally.fail),
    ),
    consuming('polybus', `a handler, concurrency ${CONCURRENCY}, zod, retry, dead letters`, 1, (ground, tally) =>
      subscribed(ground, tally, { handler: (order) => handler(tally)(order) }),
    ),
    consuming('polybus batch', `the same with batches of up to ${BATCH}`, 1, (ground, tally) => {
      const handle = handler(tally)
      return subscribed(ground, tally, {
        batch: {
          max: BATCH,
          wait: '10ms',
          async handler(items) {
            for (const { value } of items) await handle(value)
          },
        },
      })
    }),
    ...(other ? [other.consume] : []),
  ]
}

function overAnotherClient({
  name,
  query,
}: NonNullable<Kind['also']>): Readonly<Record<'publish' | 'consume', Contender>> {
  const there = <G extends { readonly url: string }>(ground: G): G => ({ ...ground, url: `${ground.url}${query}` })
  const title = `polybus over ${name}`
  const what = 'as polybus, with that client'
  return {
    publish: publishing(title, what, 1, (ground) => ofBus(there(ground), trusting)),
    consume: consuming(title, what, 1, (ground, tally) =>
      subscribed(there(ground), tally, { handler: handler(tally) }),
    ),
  }
}

/** The handler of all of them: asynchronous, as handlers are. */
const handler =
  (tally: Tally) =>
  async (order: Purchase): Promise<void> =>
    tally.seen(order)

export const trusting = (name: string): Channel<Purchase, Purchase, typeof GROUP> =>
  channel(name, { schema: trust<Purchase>(), groups: [GROUP] })
export const checked = (name: string): Channel<Purchase, Purchase, typeof GROUP> =>
  channel(name, { schema: purchase, groups: [GROUP] })

export const open = (url: string, observe?: (event: BusEvent) => void): Promise<Bus> =>
  connect({ broker: url, logger: false, ...(observe && { observe }) })

/** All that the adapter makes of a channel: the raw client uses it too. */
export async function made({ url, channel }: Pick<Ground, 'url' | 'channel'>): Promise<void> {
  const bus = await open(url)
  try {
    await bus.prepare(trusting(channel))
  } finally {
    await bus.close()
  }
}

export interface Publishes {
  publish(from: number, to: number): Promise<void>
  close(): Promise<void>
}

export async function ofBus(
  { url, channel, make }: Pick<Ground, 'url' | 'channel' | 'make'>,
  define: typeof trusting,
): Promise<Publishes> {
  const bus = await open(url)
  const orders = define(channel)
  return {
    publish: (from, to) => inFlight(from, to, WIDTH, (index) => bus.publish(orders, make(index))),
    close: () => bus.close(),
  }
}

const publishing = (
  name: string,
  what: string,
  share: number,
  start: (ground: Ground) => Promise<Publishes>,
): Contender => ({
  direction: 'publish',
  name,
  what,
  share,
  async prepare(ground) {
    const { messages } = ground
    await made(ground)
    const { publish, close } = await start(ground)
    const first = warmUp(messages)
    return {
      async run() {
        await publish(0, first)
        return { messages, ...(await timed(() => publish(first, first + messages))) }
      },
      close,
      left: first + messages,
    }
  },
})

/** All consume what Polybus published, but for the one whose messages are bare. */
const consuming = (
  name: string,
  what: string,
  share: number,
  start: (ground: Ground, tally: Tally) => Promise<{ close(): Promise<void> }>,
): Contender => ({
  direction: 'consume',
  name,
  what,
  share,
  async prepare(ground) {
    const { raw, channel, make, messages } = ground
    await made(ground)
    const filler = await (name === RAW_BARE ? raw.publishTuned(channel, make) : ofBus(ground, trusting))
    await filler.publish(0, messages)
    await filler.close()
    const tally = createTally(messages)
    let consumer: { close(): Promise<void> } | undefined
    return {
      async run() {
        consumer = await start(ground, tally)
        tally.start()
        return tally.done
      },
      close: async () => consumer?.close(),
      left: 0,
    }
  },
})

/** Nothing is retried, lost or given up in a run that counts. */
const ODD: ReadonlySet<BusEvent['kind']> = new Set(['retry', 'dead-letter', 'discard', 'lost', 'failed', 'ended'])

export async function subscribed(
  { url, channel }: Pick<Ground, 'url' | 'channel'>,
  tally: Pick<Tally, 'fail'>,
  run: Run<Purchase, undefined>,
): Promise<{ close(): Promise<void> }> {
  const bus = await open(url, ({ kind, error }) => {
    if (ODD.has(kind)) tally.fail(new Error(`the bus saw '${kind}'`, { cause: error }))
  })
  const concurrency = 'batch' in run ? 1 : CONCURRENCY
  await bus.start(consumer(checked(channel), GROUP, { concurrency, ...run }))
  return { close: () => bus.close() }
}
