// A virtual clock, and the driver's calls without their ceremony.
import { type Call, type ChannelSpec, createClock, type Delivery, type Destination } from '@polybus/core'
import type { Feed, Headers, Outgoing, PolybusError, Receipt, Result, Source, WireMessage } from '@polybus/core'
import { memory, type MemoryAdapter, type MemoryOptions } from '../src/index.ts'

export const call = (): Call => ({ signal: new AbortController().signal })

export interface ManualClock {
  readonly clock: ReturnType<typeof createClock>
  /** Time goes on, timer by timer. */
  advance(ms: number): void
}

export function manualClock(): ManualClock {
  let now = 1000
  const clock = createClock({ now: () => now, wall: () => 1_700_000_000_000 + now, arm: () => undefined })
  return {
    clock,
    advance(ms) {
      const end = now + ms
      for (let next = clock.nextAt(); next !== undefined && next <= end; next = clock.nextAt()) {
        now = Math.max(now, next)
        clock.wake()
      }
      now = end
    },
  }
}

export const turns = async (count = 3): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => void setImmediate(resolve))
}

export const keyed = (groups: readonly string[] = ['g'], partitions?: number): ChannelSpec => ({
  name: 'orders',
  keyed: true,
  partitions,
  groups,
  maxBytes: 262_144,
})
export const shared = (groups: readonly string[] = ['g']): ChannelSpec => ({ ...keyed(groups), keyed: false })

export const message = (id: string | undefined, fields: Partial<WireMessage> = {}): WireMessage => ({
  id,
  source: 'test',
  type: 'orders',
  time: 1,
  key: undefined,
  headers: [],
  body: new Uint8Array([1, 2, 3]),
  contentType: 'application/octet-stream',
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
  ...fields,
})

let handover = 0
export const TO_ORDERS: Destination = { kind: 'channel', channel: 'orders' }
export const outgoing = (item: WireMessage, to: Destination = TO_ORDERS): Outgoing => ({
  handover: handover++,
  message: item,
  to,
})

export async function open(
  spec: ChannelSpec,
  options: MemoryOptions = {},
  topology: 'create' | 'verify' = 'create',
): Promise<MemoryAdapter> {
  const adapter = memory(options)
  await adapter.connect({ ...call(), namespace: 'test', service: 'test', topology })
  if (topology === 'create') await create(adapter, spec)
  return adapter
}

export async function create(adapter: MemoryAdapter, spec: ChannelSpec): Promise<void> {
  const plan = await adapter.topology?.plan([spec], call())
  await adapter.topology?.apply(plan?.changes ?? [], call())
}

export interface Member {
  readonly feed: Feed
  readonly lost: Delivery[]
  readonly revoked: Delivery[]
}

export async function member(adapter: MemoryAdapter, spec: ChannelSpec, source: Partial<Source> = {}): Promise<Member> {
  const lost: Delivery[] = []
  const revoked: Delivery[] = []
  const feed = await adapter.subscribe(
    {
      channel: spec,
      group: 'g',
      from: 'beginning',
      maxInFlight: 1000,
      maxBytes: 2 ** 24,
      durable: false,
      onLost: (tokens) => void lost.push(...(tokens as Delivery[])),
      onRevoke: (tokens) => {
        revoked.push(...(tokens as Delivery[]))
        return Promise.resolve()
      },
      ...source,
    },
    call(),
  )
  return { feed, lost, revoked }
}

export const send = (adapter: MemoryAdapter, ...messages: WireMessage[]): Promise<readonly Result<Receipt>[]> =>
  adapter.send(
    messages.map((item) => outgoing(item)),
    call(),
  )

/** What is there now: an empty receive is not waited for. */
export async function receive({ feed }: Pick<Member, 'feed'>, max = 100): Promise<readonly Delivery[]> {
  const stop = new AbortController()
  const waiting = feed.receive(max, { signal: stop.signal })
  await turns(2)
  stop.abort()
  return waiting
}

export const ids = (deliveries: readonly Delivery[]): (string | undefined)[] => deliveries.map((one) => one.message.id)

export const settle = (
  { feed }: Pick<Member, 'feed'>,
  deliveries: readonly Delivery[],
  how: Ack | Release | Move = { kind: 'ack' },
): Promise<readonly Result<void>[]> =>
  feed.settle(
    deliveries.map(({ token }) => ({ token, ...how })),
    call(),
  )
interface Ack {
  kind: 'ack'
}
interface Release {
  kind: 'release'
  headers?: Headers
}
interface Move {
  kind: 'move'
  to: Destination
  headers: Headers
  message?: WireMessage
}

export const codes = (results: readonly Result<unknown>[]): string[] =>
  results.map((result) => (result.ok ? 'ok' : result.error.code))

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'resolved'
  } catch (error) {
    return (error as PolybusError).code
  }
}
