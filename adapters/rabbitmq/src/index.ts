export { rabbitmq, type RabbitmqAdapter } from './adapter.ts'
export type {
  RabbitmqArguments,
  RabbitmqBinding,
  RabbitmqChannelOptions,
  RabbitmqExchange,
  RabbitmqGroup,
  RabbitmqOptions,
} from './options.ts'
