// What driver cases share: an adapter without core above it.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type {
  Adapter,
  ChannelSpec,
  Delivery,
  Destination,
  Feed,
  Outgoing,
  Result,
  Settlement,
  Source,
  WireMessage,
} from '@polybus/core'
import { spec } from '../case.ts'
import type { Env } from '../env.ts'

export interface Driver {
  readonly adapter: Adapter
  readonly channel: ChannelSpec
  send(message: WireMessage, to?: Destination, groups?: readonly string[]): Promise<void>
  subscribe(group: string, source?: Partial<Source>): Promise<Member>
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
  ack(...deliveries: readonly Delivery[]): Promise<void>
}

export async function driver(
  env: Env,
  options: {
    keyed?: boolean
    groups?: readonly string[]
    partitions?: number
    on?: Adapter
    channel?: ChannelSpec
  } = {},
): Promise<Driver> {
  const adapter = await env.connect(options.on ?? env.open())
  const channel = options.channel ?? {
    ...spec(env.name(), options.keyed ?? false, options.groups ?? ['work']),
    partitions: options.partitions,
  }
  if (adapter.topology) {
    const { changes, conflicts } = await adapter.topology.plan([channel], env.call)
    assert.deepEqual(conflicts, [], 'a new channel has no conflicts')
    await adapter.topology.apply(changes, env.call)
  }
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
    async send(message, destination = to('channel'), groups) {
      const [result] = await adapter.send([outgoing(message, destination, groups)], env.call)
      if (!result?.ok) throw result?.error ?? new Error('send answered no result')
    },
    async subscribe(group, source = {}) {
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
        env.call,
      )
      return member(env, feed, lost)
    },
  }
}

let handovers = 0
export const outgoing = (message: WireMessage, to: Destination, groups?: readonly string[]): Outgoing => ({
  handover: ++handovers,
  message,
  to,
  ...(groups && { groups }),
})

function member(env: Env, feed: Feed, lost: unknown[]): Member {
  const settle: Member['settle'] = (...settlements) => feed.settle(settlements, env.call)
  return {
    feed,
    lost,
    async take(count, timeoutMs = env.timing.patienceMs) {
      const taken: Delivery[] = []
      const stop = new AbortController()
      const timer = env.clock.timer(timeoutMs, () => stop.abort())
      try {
        // An abort ends the wait softly: what was handed over still comes.
        while (taken.length < count && !stop.signal.aborted)
          taken.push(...(await feed.receive(count - taken.length, stop)))
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

export function wire(more: Partial<WireMessage> = {}): WireMessage {
  return {
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
  }
}

/** Bytes of headers compare by value, whatever class they have. */
export const plainHeaders = (
  headers: WireMessage['headers'],
): readonly (readonly [string, string | readonly number[]])[] =>
  headers.map(([name, value]) => [name, typeof value === 'string' ? value : [...value]])

/** In wire order where the broker keeps it. */
export const comparable = (
  headers: WireMessage['headers'],
  { ordered }: { readonly ordered: boolean },
): readonly string[] => {
  const texts = plainHeaders(headers).map((pair) => JSON.stringify(pair))
  return ordered ? texts : texts.toSorted()
}

export const withoutOurs = (headers: WireMessage['headers']): WireMessage['headers'] =>
  headers.filter(([name]) => !name.startsWith('polybus-'))

export function sameBytes(actual: Uint8Array | null | undefined, expected: Uint8Array | null, what = 'body'): void {
  if (expected === null || !actual) return assert.equal(actual, expected, what)
  assert.ok(
    Buffer.compare(actual, expected) === 0,
    `${what}: ${actual.length} bytes are not the ${expected.length} bytes that were sent`,
  )
}

export const sortedIds = (deliveries: readonly Delivery[]): readonly (string | undefined)[] =>
  sorted(deliveries.map(({ message }) => message.id))

export const sorted = (texts: readonly (string | undefined)[]): readonly (string | undefined)[] =>
  texts.toSorted((a = '', c = '') => (a < c ? -1 : 1))
