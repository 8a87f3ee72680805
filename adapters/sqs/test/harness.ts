// The conformance suite's way to a real ElasticMQ: a server of its own, and a fault proxy for each namespace. It is never
// killed: it would lose its queues.
import {
  DeleteQueueCommand,
  ListQueuesCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  type SendMessageBatchRequestEntry,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { type RunningBroker, startBroker } from '@polybus/brokers'
import { type Destination, PolybusError, type WireMessage } from '@polybus/core'
import { type Faults, type Foreign, namespaceProxies, type Timing } from '@polybus/testkit'
import { sqs, type SqsAdapter } from '../src/index.ts'
import { fromMessage } from '../src/mapping.ts'
import { groupOf, namesOf } from '../src/names.ts'
import { pack } from '../src/packed.ts'
import { BROKEN, type Gateway, INVALID, openGateway } from './gateway.ts'

const broker = (): Promise<RunningBroker> => startBroker('sqs', { instance: 'conformance' })
let opening: Promise<Gateway> | undefined
const gateway = (): Promise<Gateway> => (opening ??= broker().then(openGateway))
const proxies = namespaceProxies(gateway, { isSend: (bytes) => bytes.includes('AmazonSQS.SendMessageBatch') })

export const name = 'sqs'
export const parallel = 4
/** Short leases, so that a dead holder is noticed within a case. */
const LEASE_MS = 6000
export const timing: Partial<Timing> = { leaseMs: LEASE_MS }
export const feedsOutliveCuts = true
export const prepare = proxies.prepare

const credentials = { accessKeyId: 'anybody', secretAccessKey: 'is let in' }
export const open = (namespace: string): SqsAdapter =>
  proxies.open(namespace, ({ host, port }) =>
    sqs({
      endpoint: `http://${host}:${port}`,
      region: 'eu-west-1',
      client: { credentials },
      visibilityMs: LEASE_MS,
    }),
  )

/** Past proxy and gateway, as another program would be connected. */
async function aside<T>(use: (client: SQSClient) => Promise<T>): Promise<T> {
  const { host, port } = await broker()
  const client = new SQSClient({ endpoint: `http://${host}:${port}`, region: 'eu-west-1', credentials })
  try {
    return await use(client)
  } finally {
    client.destroy()
  }
}
async function queuesBy(client: SQSClient, prefix?: string): Promise<string[]> {
  const { QueueUrls = [] } = await client.send(new ListQueuesCommand({ QueueNamePrefix: prefix, MaxResults: 1000 }))
  return QueueUrls
}
const nameIn = (url: string): string => url.slice(url.lastIndexOf('/') + 1)
const isDead = (queue: string): boolean => /--dlq(\.fifo)?$/.test(queue)
/** Of the channel's groups, or of one. */
const deleteQueues = (namespace: string, channel: string, only?: string): Promise<void> =>
  aside(async (client) => {
    const names = namesOf(namespace, channel, false)
    for (const url of await queuesBy(client, names.prefix)) {
      const group = groupOf(names, nameIn(url).replace('--dlq', ''))
      if (only === undefined || group === only) await client.send(new DeleteQueueCommand({ QueueUrl: url }))
    }
  })

type When = Parameters<NonNullable<Faults['refuse']>>[0]
const asMessage = ({ MessageBody, MessageAttributes }: SendMessageBatchRequestEntry): Message => ({
  Body: MessageBody,
  MessageAttributes,
})
const refused =
  (namespace: string, when: When): Parameters<Gateway['refuse']>[0] =>
  (queue, entry) => {
    if (!queue.startsWith(`${namespace}--`)) return undefined
    const [, channel = '', group = ''] = queue.replace(/\.fifo$/, '').split('--')
    const message = fromMessage(asMessage(entry))
    // A copy for one group has headers of ours, what is published has none.
    const copied = message.headers.some(([header]) => header.startsWith('polybus-'))
    const to: Destination = isDead(queue)
      ? { kind: 'dead-letter', channel, group }
      : copied
        ? { kind: 'group', channel, group, delayMs: 1000 * (entry.DelaySeconds ?? 0) }
        : { kind: 'channel', channel }
    const error = when({ handover: 0, message, to })
    return error && (error.retryable ? BROKEN : INVALID)
  }

export const faults = (namespace: string): Faults => ({
  ...proxies.faults(namespace),
  wipe: () =>
    aside(async (client) => {
      for (const url of await queuesBy(client)) await client.send(new DeleteQueueCommand({ QueueUrl: url }))
    }),
  blockWrites: async ({ kind, channel, group }) =>
    (await gateway()).refuse(
      refused(namespace, ({ to }) =>
        to.kind === kind && to.channel === channel && to.group === group ? new PolybusError('BROKER_BUSY') : undefined,
      ),
    ),
  refuse: async (when) => (await gateway()).refuse(refused(namespace, when)),
  loseLease: async () => (await gateway()).expire(`${namespace}--`),
  deleteGroup: (channel, group) => deleteQueues(namespace, channel, group),
  deleteChannel: (channel) => deleteQueues(namespace, channel),
})

/** The characters that SQS does not take. */
const REFUSED = /[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
export const foreign = (namespace: string): Foreign => ({
  send: (channel, { body, headers = [], key, contentType }) =>
    aside(async (client) => {
      const attributes: Record<string, MessageAttributeValue> = {}
      const put = (header: string, value: string): void =>
        void (attributes[header] = { DataType: 'String', StringValue: value })
      if (contentType !== undefined) put('content-type', contentType)
      // What SQS cannot carry, every producer has to encode: this is how.
      const others = headers.filter(([header, value]) => {
        if (!isText(value) || header in attributes) return true
        put(header, value)
        return false
      })
      const text = body === null ? '' : Buffer.from(body).toString()
      const plain = body !== null && text !== '' && Buffer.from(text).equals(body) && !REFUSED.test(text)
      const packed = pack({
        body: plain ? undefined : body === null ? 'null' : text === '' ? 'empty' : 'base64',
        headers: others.map(([header, value]) =>
          typeof value === 'string' ? [header, value] : [header, Buffer.from(value).toString('base64'), 1],
        ),
      })
      if (packed !== undefined) put('polybus', packed)
      if (!plain) put('ce_specversion', '1.0')
      for (const url of await queuesBy(client, namesOf(namespace, channel, false).prefix)) {
        if (isDead(nameIn(url))) continue
        await client.send(
          new SendMessageCommand({
            QueueUrl: url,
            MessageBody: plain ? text : body === null || text === '' ? '-' : Buffer.from(body).toString('base64'),
            MessageAttributes: attributes,
            ...(url.endsWith('.fifo') && {
              MessageGroupId: key ?? 'foreign',
              MessageDeduplicationId: `${Math.random()}`,
            }),
          }),
        )
      }
    }),
  deadLetters: (channel, group) =>
    aside(async (client): Promise<readonly WireMessage[]> => {
      const names = namesOf(namespace, channel, false)
      const [url] = (await queuesBy(client, names.prefix)).filter((one) => nameIn(one).startsWith(names.dead(group)))
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({
          QueueUrl: url,
          MaxNumberOfMessages: 10,
          VisibilityTimeout: 0,
          MessageAttributeNames: ['All'],
          MessageSystemAttributeNames: ['All'],
        }),
      )
      return Messages.map((message) => fromMessage(message))
    }),
})

export { refusing } from './recorded.ts'

export const about = (): Promise<Record<string, string>> => Promise.resolve({ elasticmq: '1.6.14' })

export async function cleanup(namespace: string): Promise<void> {
  await proxies.close(namespace)
  await aside(async (client) => {
    for (const url of await queuesBy(client, `${namespace}--`))
      await client.send(new DeleteQueueCommand({ QueueUrl: url }))
  })
}
