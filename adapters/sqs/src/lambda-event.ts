// What Lambda hands to a function whose event source is a queue. Shape:
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs'
import { invalid, PolybusError, show } from '@polybus/core'
import { nameIn } from './layout.ts'

interface RecordAttribute {
  readonly dataType?: string
  readonly stringValue?: string
  /** Base64. */
  readonly binaryValue?: string
}

interface SqsRecord {
  readonly messageId: string
  readonly receiptHandle?: string
  readonly body?: unknown
  readonly attributes?: Message['Attributes']
  readonly messageAttributes?: Readonly<Record<string, RecordAttribute>>
  readonly eventSourceARN?: string
}

const isRecord = (value: unknown): value is SqsRecord =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as { messageId?: unknown }).messageId === 'string' &&
  (value as { messageId: string }).messageId !== ''

/**
 * The event's records, as a receive would bring them.
 *
 * @throws {PolybusError} `INVALID_OPTION` where it is no event of a queue, `TOPOLOGY_CONFLICT` where it is one of another queue.
 */
export function messagesOf(event: unknown, queue: string): readonly Message[] {
  const records = (event as { Records?: unknown } | null | undefined)?.Records
  if (!Array.isArray(records) || !records.every(isRecord))
    throw invalid(
      'lambda()',
      `expected an event of an SQS queue, { Records: [{ messageId, body, … }] }, got ${show(event)}. Make the queue the function's event source.`,
    )
  const other = records
    .map(({ eventSourceARN = '' }) => eventSourceARN)
    .find((arn) => arn !== '' && queueIn(arn) !== queue)
  if (other !== undefined)
    throw new PolybusError(
      'TOPOLOGY_CONFLICT',
      `The event comes from the queue '${queueIn(other)}', and the consumer's group has the queue '${queue}': retries and dead letters would go elsewhere. Connect the function to that queue, or name this one in channels.<channel>.groups.<group>.queueUrl, or give the namespace.`,
      { sent: 'no' },
    )
  return records.map(messageOf)
}

const queueIn = (arn: string): string => nameIn(arn.replaceAll(':', '/'))

function messageOf({ messageId, receiptHandle, body, attributes, messageAttributes = {} }: SqsRecord): Message {
  return {
    MessageId: messageId,
    ReceiptHandle: receiptHandle,
    Body: typeof body === 'string' ? body : '',
    Attributes: attributes,
    MessageAttributes: Object.fromEntries(
      Object.entries(messageAttributes).map(([name, { dataType, stringValue, binaryValue }]) => [
        name,
        {
          DataType: dataType,
          ...(stringValue !== undefined && { StringValue: stringValue }),
          ...(binaryValue !== undefined && { BinaryValue: Buffer.from(binaryValue, 'base64') }),
        } satisfies MessageAttributeValue,
      ]),
    ),
  }
}
