// The AWS SDK by hand.
import {
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import type { Make, Purchase } from '../purchases.ts'
import { type AttributesOf, type Consuming, GROUP, type Handle, inFlight, type Kind, NAIVE_WIDTH } from './raw.ts'
import { piecesInFlight, type Publishing, type RawBroker, textsOf, versionIn, versionOf } from './raw.ts'

/** SQS takes and gives no more. */
const MOST = 10
/** Calls under way of a tuned publisher. */
const SENDS = 32
const RECEIVERS = 8

export const sqs: Kind = {
  messages: 4000,
  naive: { publish: 0.5, consume: 0.25 },
  what: {
    publishNaive: `SendMessage, ${NAIVE_WIDTH} in flight`,
    publishTuned: `SendMessageBatch of ${MOST}, ${SENDS} in flight`,
    consumeNaive: 'ReceiveMessage of 1, then DeleteMessage',
    consumeTuned: `${RECEIVERS} receivers of ${MOST}, DeleteMessageBatch while the next ones come`,
  },
  async open({ url, log }) {
    const client = clientOf(url)
    const raw: RawBroker = {
      client: versionOf('@aws-sdk/client-sqs'),
      server: versionIn(log, 'ElasticMQ', /ElasticMQ server \(?v?([\d.]+)/i),
      publishNaive: (channel, make) => publishNaive(url, channel, make),
      publishTuned: (channel, make, attributesOf) => publishTuned(url, channel, make, attributesOf),
      consumeNaive: (channel, handle, fail) => consumeNaive(url, channel, handle, fail),
      consumeTuned: (channel, handle, fail) => consumeTuned(url, channel, handle, fail),
      async left(channel) {
        const QueueUrl = await urlOf(client, channel)
        const { Attributes = {} } = await client.send(
          new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
        )
        const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible } = Attributes
        return Number(ApproximateNumberOfMessages) + Number(ApproximateNumberOfMessagesNotVisible)
      },
      async drop(channel) {
        const { QueueUrls = [] } = await client.send(new ListQueuesCommand({ QueueNamePrefix: `${channel}--` }))
        for (const QueueUrl of QueueUrls) await client.send(new DeleteQueueCommand({ QueueUrl }))
      },
      close: () => Promise.resolve(client.destroy()),
    }
    return raw
  },
}

const clientOf = (url: string): SQSClient =>
  new SQSClient({
    region: 'us-east-1',
    endpoint: url.replace(/^sqs:/, 'http:'),
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
    // Each retry could be a second message.
    maxAttempts: 1,
  })

async function urlOf(client: SQSClient, channel: string): Promise<string> {
  const { QueueUrl = '' } = await client.send(new GetQueueUrlCommand({ QueueName: `${channel}--${GROUP}` }))
  return QueueUrl
}

const bodyOf = (make: Make, index: number): string => JSON.stringify(make(index))
const purchaseOf = ({ Body = '' }: Message): Purchase => JSON.parse(Body) as Purchase

async function publishNaive(url: string, channel: string, make: Make): Promise<Publishing> {
  const client = clientOf(url)
  const QueueUrl = await urlOf(client, channel)
  return {
    publish: (from, to) =>
      inFlight(from, to, NAIVE_WIDTH, (index) =>
        client.send(new SendMessageCommand({ QueueUrl, MessageBody: bodyOf(make, index) })),
      ),
    close: () => Promise.resolve(client.destroy()),
  }
}

const messageAttributesOf = (attributesOf: AttributesOf): Record<string, MessageAttributeValue> =>
  Object.fromEntries(
    Object.entries(textsOf(attributesOf())).map(([name, text]) => [name, { DataType: 'String', StringValue: text }]),
  )

async function publishTuned(
  url: string,
  channel: string,
  make: Make,
  attributesOf?: AttributesOf,
): Promise<Publishing> {
  const client = clientOf(url)
  const QueueUrl = await urlOf(client, channel)
  return {
    publish: (from, to) =>
      piecesInFlight(from, to, MOST, SENDS, async (first, end) => {
        const Entries = Array.from({ length: end - first }, (_, at) => ({
          Id: String(at),
          MessageBody: bodyOf(make, first + at),
          ...(attributesOf && { MessageAttributes: messageAttributesOf(attributesOf) }),
        }))
        const { Failed = [] } = await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }))
        if (Failed[0]) throw new Error(Failed[0].Message)
      }),
    close: () => Promise.resolve(client.destroy()),
  }
}

async function consumeNaive(
  url: string,
  channel: string,
  handle: Handle,
  fail: (error: unknown) => void,
): Promise<Consuming> {
  return receivers(url, channel, 1, 1, fail, async (client, QueueUrl, [message]) => {
    if (!message) return
    await handle(purchaseOf(message))
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }))
  })
}

async function consumeTuned(
  url: string,
  channel: string,
  handle: Handle,
  fail: (error: unknown) => void,
): Promise<Consuming> {
  const deleting = new Set<Promise<void>>()
  const remove = async (client: SQSClient, QueueUrl: string, messages: readonly Message[]): Promise<void> => {
    const Entries = messages.map(({ ReceiptHandle }, at) => ({ Id: String(at), ReceiptHandle }))
    const { Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
    if (Failed[0]) throw new Error(Failed[0].Message)
  }
  const consuming = await receivers(url, channel, RECEIVERS, MOST, fail, async (client, QueueUrl, messages) => {
    for (const message of messages) await handle(purchaseOf(message))
    if (deleting.size >= RECEIVERS * 2) await Promise.race(deleting)
    const work = remove(client, QueueUrl, messages)
      .catch(fail)
      .finally(() => deleting.delete(work))
    deleting.add(work)
  })
  return {
    async close() {
      await Promise.all(deleting)
      await consuming.close()
    },
  }
}

async function receivers(
  url: string,
  channel: string,
  count: number,
  most: number,
  fail: (error: unknown) => void,
  step: (client: SQSClient, QueueUrl: string, messages: readonly Message[]) => Promise<void>,
): Promise<Consuming> {
  const client = clientOf(url)
  const QueueUrl = await urlOf(client, channel)
  let over = false
  const receive = async (): Promise<void> => {
    while (!over) {
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: most,
          WaitTimeSeconds: 1,
          MessageAttributeNames: ['All'],
        }),
      )
      if (Messages.length > 0) await step(client, QueueUrl, Messages)
    }
  }
  const running = Promise.all(Array.from({ length: count }, receive)).catch(fail)
  return {
    async close() {
      over = true
      await running
      client.destroy()
    },
  }
}
