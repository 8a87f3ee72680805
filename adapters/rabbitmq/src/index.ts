export { rabbitmq, type RabbitmqAdapter } from './adapter.ts'
export type {
  RabbitmqArguments,
  RabbitmqBinding,
  RabbitmqChannelOptions,
  RabbitmqEnvelope,
  RabbitmqExchange,
  RabbitmqForeignMessage,
  RabbitmqGroup,
  RabbitmqOptions,
} from './options.ts'
