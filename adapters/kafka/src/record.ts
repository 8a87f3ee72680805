import type { Message } from '@polybus/core'
import { parsePosition } from './mapping.ts'

/** Where a record lies in Kafka. */
export interface KafkaRecordPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/**
 * The record that a message first was, of a retry too; undefined for a message of another broker.
 *
 * @example
 * consumer(orders, 'audit', (order, { message }) => log(order.id, kafkaRecord(message)?.offset))
 */
export const kafkaRecord = ({ position }: Message): KafkaRecordPlace | undefined => parsePosition(position)
