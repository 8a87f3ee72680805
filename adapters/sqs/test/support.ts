// What the tests of SQS alone share: an adapter without core above it, and a client beside it.
import { randomUUID } from 'node:crypto'
import { DeleteQueueCommand, GetQueueUrlCommand, ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs'
import type { RunningBroker } from '@polybus/brokers'
import {
  type ChannelSpec,
  type Clock,
  type Delivery,
  type Feed,
  type Outgoing,
  type Receipt,
  type Result,
  type Settlement,
  sleep,
  type Source,
  systemClock,
  type WireMessage,
} from '@polybus/core'
import { type FaultProxy, faultProxy } from '@polybus/testkit'
import { onTestFinished } from 'vitest'
import { sqs, type SqsAdapter, type SqsOptions } from '../src/index.ts'
import { type Gateway, openGateway } from './gateway.ts'

export const clock: Clock = systemClock()
export const call = { signal: new AbortController().signal }
const credentials = { accessKeyId: 'anybody', secretAccessKey: 'is let in' }

export interface Bench {
  readonly namespace: string
  /** A plain client, past proxy and gateway. */
  readonly client: SQSClient
  readonly gateway: Gateway
  readonly proxy: FaultProxy
  open(options?: Partial<SqsOptions>): SqsAdapter
  connect(options?: Partial<SqsOptions>, topology?: 'create' | 'verify' | 'none'): Promise<SqsAdapter>
  /** The URL of `<namespace>--<queue>`. */
  url(queue: string): Promise<string>
  drop(queue: string): Promise<void>
}

/** Adapters reach ElasticMQ through a proxy and a gateway of their own. */
export async function bench({ host, port }: RunningBroker): Promise<Bench> {
  const namespace = `t${randomUUID().slice(0, 8)}`
  const client = new SQSClient({ endpoint: `http://${host}:${port}`, region: 'eu-west-1', credentials })
  const gateway = await openGateway({ host, port })
  const proxy = await faultProxy(gateway)
  onTestFinished(async () => {
    await proxy.close()
    const { QueueUrls = [] } = await client.send(
      new ListQueuesCommand({ QueueNamePrefix: `${namespace}--`, MaxResults: 1000 }),
    )
    for (const QueueUrl of QueueUrls) await client.send(new DeleteQueueCommand({ QueueUrl }))
    client.destroy()
  })
  const open: Bench['open'] = (options) => {
    const adapter = sqs({
      endpoint: `http://${proxy.host}:${proxy.port}`,
      region: 'eu-west-1',
      client: { credentials },
      visibilityMs: 3000,
      requestTimeoutMs: 2000,
      ...options,
    })
    onTestFinished(() => adapter.close())
    return adapter
  }
  const url: Bench['url'] = async (queue) => {
    const { QueueUrl = '' } = await client.send(new GetQueueUrlCommand({ QueueName: `${namespace}--${queue}` }))
    return QueueUrl
  }
  return {
    namespace,
    client,
    gateway,
    proxy,
    open,
    async connect(options, topology = 'create') {
      const adapter = open(options)
      await adapter.connect({ ...call, namespace, service: 'test', topology })
      return adapter
    },
    url,
    async drop(queue) {
      await client.send(new DeleteQueueCommand({ QueueUrl: await url(queue) }))
    },
  }
}

export const spec = (name: string, more: Partial<ChannelSpec> = {}): ChannelSpec => ({
  name,
  keyed: false,
  partitions: undefined,
  groups: ['work'],
  maxBytes: 256 * 1024,
  ...more,
})

export async function create(adapter: SqsAdapter, channel: ChannelSpec): Promise<void> {
  const plan = await adapter.topology?.plan([channel], call)
  if (plan?.conflicts.length) throw new Error(plan.conflicts.map(({ text }) => text).join('; '))
  await adapter.topology?.apply(plan?.changes ?? [], call)
}

export const wire = (more: Partial<WireMessage> = {}): WireMessage => ({
  id: randomUUID(),
  source: 'test',
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
export const numbered = (count: number, more: Partial<WireMessage> = {}): WireMessage[] =>
  Array.from({ length: count }, (_, n) => wire({ id: `m-${n}`, ...more }))

let handovers = 0
export const outgoing = (channel: string, message: WireMessage, more: Partial<Outgoing> = {}): Outgoing => ({
  handover: ++handovers,
  message,
  to: { kind: 'channel', channel },
  ...more,
})

export async function send(adapter: SqsAdapter, channel: string, ...messages: readonly WireMessage[]): Promise<void> {
  // One at a time, as core does with those of one key.
  for (const message of messages) {
    const [result] = await adapter.send([outgoing(channel, message)], call)
    if (!result?.ok) throw result?.error ?? new Error('no result')
  }
}
export const values = (results: readonly Result<Receipt>[]): readonly Receipt[] =>
  results.map((result) => {
    if (!result.ok) throw result.error
    return result.value
  })

export interface Member {
  readonly feed: Feed
  readonly lost: unknown[]
  /** Receives until there are so many, or the time is over. */
  take(count: number, timeoutMs?: number): Promise<readonly Delivery[]>
  ack(...deliveries: readonly Delivery[]): Promise<void>
  settle(...settlements: readonly Settlement[]): ReturnType<Feed['settle']>
}

export async function subscribe(
  adapter: SqsAdapter,
  channel: ChannelSpec,
  source: Partial<Source> = {},
): Promise<Member> {
  const lost: unknown[] = []
  const feed = await adapter.subscribe(
    {
      channel,
      group: 'work',
      from: 'end',
      maxInFlight: 100,
      maxBytes: 64 * 2 ** 20,
      durable: false,
      onLost: (tokens) => void lost.push(...tokens),
      onRevoke: () => Promise.resolve(),
      ...source,
    },
    call,
  )
  const settle: Member['settle'] = (...settlements) => feed.settle(settlements, call)
  return {
    feed,
    lost,
    settle,
    async take(count, timeoutMs = 5000) {
      const taken: Delivery[] = []
      const stop = new AbortController()
      const timer = clock.timer(timeoutMs, () => stop.abort())
      while (taken.length < count && !stop.signal.aborted) {
        taken.push(...(await feed.receive(count - taken.length, stop)))
        // One that is closed answers at once.
        await clock.turn()
      }
      timer.cancel()
      return taken
    },
    async ack(...deliveries) {
      for (const result of await settle(...deliveries.map(({ token }) => ({ token, kind: 'ack' }) as const)))
        if (!result.ok) throw result.error
    },
  }
}

type What = string | (() => string | Promise<string>)
export async function until(condition: () => unknown, what: What, timeoutMs = 10_000): Promise<void> {
  const end = clock.now() + timeoutMs
  while (!(await condition())) {
    if (clock.now() > end)
      throw new Error(`Waited ${timeoutMs} ms in vain: ${typeof what === 'string' ? what : await what()}`)
    await sleep(clock, 20)
  }
}

export const ids = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ message }) => message.id ?? '')
