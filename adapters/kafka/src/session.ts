import type { Call, ChannelSpec, Clock } from '@polybus/core'
import type { Client, Producer } from './client.ts'
import { aborted, closed, missing } from './errors.ts'
import { type Layout, layoutOf } from './layout.ts'
import type { Settings } from './options.ts'
import { type RoundRobin, roundRobin } from './partitioner.ts'

/** What lasts from one connect to the next; everything that works for it is given it. */
export interface Session {
  readonly client: Client
  readonly clock: Clock
  readonly settings: Settings
  readonly namespace: string | undefined
  /** `topology: 'create'`. */
  readonly mayCreate: boolean
  /** Producers that do not wait for each other: what is published, and the copies of what is consumed. */
  readonly publishes: Producer
  readonly moves: Producer
  /** Where the next record without a key goes. */
  readonly turns: RoundRobin
  /** How a channel lies, without asking the broker. */
  layoutFor(spec: ChannelSpec): Layout
  /** By name: of a channel that was given to `capabilities`, or `subscribe`, or made up from its name. */
  spec(channel: string): ChannelSpec
  /** How many partitions the topic has, as of a minute ago; at once where it is known. @throws {PolybusError} `TOPOLOGY_MISSING` */
  partitions(topic: string, call: Call): number | Promise<number>
  /** What is known of a topic may be wrong by now. */
  forget(topic: string): void
  forgetAll(): void
  close(): Promise<void>
}

/** Others may add partitions: until it is asked again, a key goes where it went. */
const COUNT_MS = 60_000

interface Counted {
  readonly asked: Promise<number>
  readonly until: number
  /** Undefined until it is answered. */
  count: number | undefined
}

export interface SessionOptions {
  readonly client: Client
  readonly clock: Clock
  readonly settings: Settings
  readonly namespace: string | undefined
  readonly mayCreate: boolean
  /** Channels that core spoke of. */
  readonly specs: ReadonlyMap<string, ChannelSpec>
}

export function createSession(options: SessionOptions): Session {
  const { client, clock, settings, namespace, mayCreate, specs } = options
  const counts = new Map<string, Counted>()
  const life = new AbortController()
  const publishes = client.producer()
  const moves = client.producer()
  const layouts = new WeakMap<ChannelSpec, Layout>()
  const ask = async (topic: string): Promise<number> => {
    const found = (await client.admin.topics([topic], { signal: life.signal })).get(topic)
    if (!found) throw missing(`topic '${topic}'`, mayCreate)
    return found.partitions.length
  }
  const count = (topic: string): Counted => {
    const counted: Counted = { asked: ask(topic), until: clock.now() + COUNT_MS, count: undefined }
    counts.set(topic, counted)
    counted.asked.then(
      (found) => (counted.count = found),
      // It is asked for many: who waits hears of it.
      () => counts.delete(topic),
    )
    return counted
  }
  return {
    client,
    clock,
    settings,
    namespace,
    mayCreate,
    publishes,
    moves,
    turns: roundRobin(),
    layoutFor(spec) {
      let layout = layouts.get(spec)
      if (!layout) layouts.set(spec, (layout = layoutOf(settings, namespace, spec)))
      return layout
    },
    spec: (channel) =>
      specs.get(channel) ?? { name: channel, keyed: false, partitions: undefined, groups: [], maxBytes: 2 ** 18 },
    partitions(topic, { signal }) {
      const known = counts.get(topic)
      const found = known && known.until >= clock.now() ? known : count(topic)
      return found.count ?? orAbort(found.asked, signal)
    },
    forget: (topic) => void counts.delete(topic),
    forgetAll: () => counts.clear(),
    async close() {
      life.abort(closed())
      await Promise.all([publishes.close(), moves.close()])
    },
  }
}

const orAbort = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => reject(aborted('no'))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
