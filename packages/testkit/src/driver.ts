// An adapter without core above it: the seam's calls without their ceremony, for the suite and for an adapter's own tests.
import { randomUUID } from 'node:crypto'
import {
  type Adapter,
  type Call,
  type ChannelSpec,
  type Clock,
  type Delivery,
  type Destination,
  type Feed,
  type Outgoing,
  type Result,
  type Settlement,
  type Source,
  systemClock,
  type WireMessage,
} from '@polybus/core'

export interface DriverOptions {
  /** Default: one that never aborts. */
  readonly call?: Call
  /** Default: core's system clock. */
  readonly clock?: Clock
  /** How long `take` waits unless told otherwise, in milliseconds. Default 5,000. */
  readonly patienceMs?: number
}

export interface Driver {
  readonly adapter: Adapter
  readonly channel: ChannelSpec
  /** Sets the channel up. Throws where the broker's topology is in the way. */
  create(): Promise<void>
  /** In one batch; answers the positions, and throws the first error. */
  send(messages: WireMessage | readonly WireMessage[], to?: Destination, groups?: readonly string[]): Promise<string[]>
  /** To the group `work` unless told otherwise. */
  subscribe(group?: string, source?: Partial<Source>): Promise<Member>
  to(kind: 'channel'): Destination
  to(kind: 'dead-letter', group: string): Destination
  to(kind: 'group', group: string, delayMs?: number): Destination
}

export interface Member {
  readonly feed: Feed
  /** Tokens that this member lost. */
  readonly lost: unknown[]
  /** Receives until there are so many, or until the time is over. */
  take(count: number, timeoutMs?: number): Promise<readonly Delivery[]>
  settle(...settlements: readonly Settlement[]): Promise<readonly Result<void>[]>
  /** Throws where one of them is refused. */
  ack(...deliveries: readonly Delivery[]): Promise<void>
}

/**
 * Drives an adapter that is connected, for one channel.
 *
 * @example
 * const orders = drive(adapter, channelSpec('orders', { keyed: true }))
 * await orders.create()
 * await orders.send(wireMessage({ key: 'c-1' }))
 * const member = await orders.subscribe()
 * await member.ack(...(await member.take(1)))
 */
export function drive(adapter: Adapter, channel: ChannelSpec, options: DriverOptions = {}): Driver {
  const { call = { signal: new AbortController().signal }, clock = systemClock(), patienceMs = 5000 } = options
  const to = (kind: Destination['kind'], group = '', delayMs = 0): Destination =>
    kind === 'channel'
      ? { kind, channel: channel.name }
      : kind === 'group'
        ? { kind, channel: channel.name, group, delayMs }
        : { kind, channel: channel.name, group }
  return {
    adapter,
    channel,
    to,
    async create() {
      const { changes, conflicts } = (await adapter.topology?.plan([channel], call)) ?? { changes: [], conflicts: [] }
      if (conflicts.length > 0) throw new Error(conflicts.map(({ text }) => text).join('; '))
      await adapter.topology?.apply(changes, call)
    },
    async send(messages, destination = to('channel'), groups) {
      const all = Array.isArray(messages) ? (messages as readonly WireMessage[]) : [messages as WireMessage]
      const results = await adapter.send(
        all.map((message) => outgoing(message, destination, groups)),
        call,
      )
      if (results.length !== all.length) throw new Error(`send answered ${results.length} results for ${all.length}`)
      return results.map((result) => {
        if (!result.ok) throw result.error
        return result.value.position ?? ''
      })
    },
    async subscribe(group = 'work', source = {}) {
      const lost: unknown[] = []
      const feed = await adapter.subscribe(
        {
          channel,
          group,
          from: 'beginning',
          maxInFlight: 100,
          maxBytes: 64 * 2 ** 20,
          durable: false,
          onLost: (tokens) => void lost.push(...tokens),
          onRevoke: () => Promise.resolve(),
          ...source,
        },
        call,
      )
      return member(feed, lost, { call, clock, patienceMs })
    },
  }
}

function member(feed: Feed, lost: unknown[], { call, clock, patienceMs }: Required<DriverOptions>): Member {
  const settle: Member['settle'] = (...settlements) => feed.settle(settlements, call)
  return {
    feed,
    lost,
    async take(count, timeoutMs = patienceMs) {
      const taken: Delivery[] = []
      const stop = new AbortController()
      const timer = clock.timer(timeoutMs, () => stop.abort())
      try {
        // An abort ends the wait softly: what was handed over still comes.
        while (taken.length < count && !stop.signal.aborted) {
          taken.push(...(await feed.receive(count - taken.length, stop)))
          // A feed that is closed may answer at once.
          await clock.turn()
        }
        return taken
      } finally {
        timer.cancel()
      }
    },
    settle,
    async ack(...deliveries) {
      const results = await settle(...deliveries.map(({ token }) => ({ token, kind: 'ack' }) as const))
      for (const result of results) if (!result.ok) throw result.error
    },
  }
}

let handovers = 0
/** One logical hand-over each: what is sent again must be the same object. */
export const outgoing = (message: WireMessage, to: Destination, groups?: readonly string[]): Outgoing => ({
  handover: ++handovers,
  message,
  to,
  ...(groups && { groups }),
})

/** A channel without keys, with one declared group, `work`. */
export const channelSpec = (name: string, more: Partial<ChannelSpec> = {}): ChannelSpec => ({
  name,
  keyed: false,
  partitions: undefined,
  groups: ['work'],
  maxBytes: 256 * 1024,
  ...more,
})

/** A message of JSON, as core would hand it over. */
export const wireMessage = (more: Partial<WireMessage> = {}): WireMessage => ({
  id: randomUUID(),
  source: 'polybus',
  type: 'test',
  time: 1_700_000_000_000,
  key: undefined,
  headers: [],
  body: Buffer.from('{}'),
  contentType: 'application/json',
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
  ...more,
})
