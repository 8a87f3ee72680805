export { kafka, type KafkaAdapter } from './adapter.ts'
export { kafkaRecord, type KafkaRecordPlace } from './record.ts'
export type {
  Envelope,
  ForeignMessage,
  KafkaAddress,
  KafkaChannelOptions,
  KafkaCompression,
  KafkaGroup,
  KafkaHazard,
  KafkaOptions,
  PlatformaticOptions,
} from './options.ts'
export type { KafkaLogin } from './url.ts'
