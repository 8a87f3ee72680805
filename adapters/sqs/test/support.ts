// What the tests of SQS alone share: an adapter without core above it, and a client beside it.
import { DeleteQueueCommand, GetQueueUrlCommand, ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs'
import type { RunningBroker } from '@polybus/brokers'
import type { ChannelSpec, Outgoing, Receipt, Result, Source, WireMessage } from '@polybus/core'
import {
  adapterBench,
  type AdapterBench,
  call,
  channelSpec as spec,
  clock,
  drive,
  type FaultProxy,
  faultProxy,
  ids,
  type Member,
  numbered,
  outgoing as anOutgoing,
  until,
  wireMessage as wire,
} from '@polybus/testkit'
import { onTestFinished } from 'vitest'
import { sqs, type SqsAdapter, type SqsOptions } from '../src/index.ts'
import { type Gateway, openGateway } from './gateway.ts'

export { call, clock, ids, numbered, spec, until, wire }
export type { Member }
const credentials = { accessKeyId: 'anybody', secretAccessKey: 'is let in' }

export interface Bench extends AdapterBench<SqsAdapter, SqsOptions> {
  /** A plain client, past proxy and gateway. */
  readonly client: SQSClient
  readonly gateway: Gateway
  readonly proxy: FaultProxy
  /** The URL of `<namespace>--<queue>`. */
  url(queue: string): Promise<string>
  drop(queue: string): Promise<void>
}

/** Adapters reach ElasticMQ through a proxy and a gateway of their own. */
export async function bench({ host, port }: RunningBroker): Promise<Bench> {
  const client = new SQSClient({ endpoint: `http://${host}:${port}`, region: 'eu-west-1', credentials })
  const gateway = await openGateway({ host, port })
  const proxy = await faultProxy(gateway)
  const own = adapterBench(
    (options: Partial<SqsOptions>) =>
      sqs({
        endpoint: `http://${proxy.host}:${proxy.port}`,
        region: 'eu-west-1',
        client: { credentials },
        visibilityMs: 3000,
        requestTimeoutMs: 2000,
        ...options,
      }),
    onTestFinished,
  )
  const { namespace } = own
  onTestFinished(async () => {
    await proxy.close()
    const { QueueUrls = [] } = await client.send(
      new ListQueuesCommand({ QueueNamePrefix: `${namespace}--`, MaxResults: 1000 }),
    )
    for (const QueueUrl of QueueUrls) await client.send(new DeleteQueueCommand({ QueueUrl }))
    client.destroy()
  })
  const url: Bench['url'] = async (queue) => {
    const { QueueUrl = '' } = await client.send(new GetQueueUrlCommand({ QueueName: `${namespace}--${queue}` }))
    return QueueUrl
  }
  return {
    ...own,
    client,
    gateway,
    proxy,
    url,
    async drop(queue) {
      await client.send(new DeleteQueueCommand({ QueueUrl: await url(queue) }))
    },
  }
}

export const create = (adapter: SqsAdapter, channel: ChannelSpec): Promise<void> => drive(adapter, channel).create()
export const outgoing = (channel: string, message: WireMessage, more: Partial<Outgoing> = {}): Outgoing => ({
  ...anOutgoing(message, { kind: 'channel', channel }),
  ...more,
})

export async function send(adapter: SqsAdapter, channel: string, ...messages: readonly WireMessage[]): Promise<void> {
  // One at a time, as core does with those of one key.
  for (const message of messages) await drive(adapter, spec(channel)).send(message)
}
export const values = (results: readonly Result<Receipt>[]): readonly Receipt[] =>
  results.map((result) => {
    if (!result.ok) throw result.error
    return result.value
  })

export const subscribe = (adapter: SqsAdapter, channel: ChannelSpec, source: Partial<Source> = {}): Promise<Member> =>
  drive(adapter, channel).subscribe('work', { from: 'end', ...source })
