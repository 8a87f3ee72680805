export { kafka, type KafkaAdapter } from './adapter.ts'
export { kafkaRecord, type KafkaRecordPlace } from './record.ts'
export type {
  Envelope,
  ForeignMessage,
  KafkaChannelOptions,
  KafkaCompression,
  KafkaGroup,
  KafkaHazard,
  KafkaOptions,
} from './options.ts'
