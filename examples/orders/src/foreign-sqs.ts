// A foreign producer on SQS: as `aws sqs send-message`, to the queue of each group, since SQS has no topics.
import { randomUUID } from 'node:crypto'
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import type { BrokerAccess } from './broker-access.ts'
import { GROUPS } from './groups.ts'
import { persist } from './persist.ts'

/** A message without attributes, once to each group: an uncertain one is repeated under its deduplication id. */
export function accessSqs(url: string): BrokerAccess {
  const { host, hostname, port, searchParams } = new URL(url)
  const isRegion = port === '' && /^[a-z]+(-[a-z]+)+-\d$/.test(hostname)
  const region = searchParams.get('region') ?? (isRegion ? hostname : undefined)
  const endpoint = searchParams.get('endpoint') ?? (hostname === '' || isRegion ? undefined : `http://${host}`)
  const client = new SQSClient({
    ...(region !== undefined && { region }),
    // An emulator takes any.
    ...(endpoint !== undefined && {
      endpoint,
      region: region ?? 'us-east-1',
      credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    }),
  })
  return {
    broker: url,
    async produce(channel, body) {
      for (const group of GROUPS) {
        // A keyed channel has FIFO queues.
        const QueueName = `${channel}--${group}.fifo`
        const once = { MessageBody: body, MessageGroupId: 'foreign', MessageDeduplicationId: randomUUID() }
        await persist(async () => {
          const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName }))
          await client.send(new SendMessageCommand({ QueueUrl, ...once }))
        })
      }
    },
    async close() {
      client.destroy()
    },
  }
}
