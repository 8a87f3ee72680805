// Options that several commands share: one table, so that they mean the same everywhere.
import type { Command, Options } from './command.ts'

/** Of commands that connect. */
export const BROKER: Options = {
  broker: {
    type: 'text',
    value: 'URL',
    text: 'kafka: amqp: amqps: sqs: redis: rediss:. Default: POLYBUS_BROKER, then polybus.config.* of this folder',
  },
  namespace: { type: 'text', value: 'NAME', text: 'the namespace that the application connects with' },
}
export const COMMON: Options = {
  verbose: { type: 'flag', text: 'what the bus logs, and stacks of errors' },
  help: { type: 'flag', text: 'this text' },
}
export const JSON_LINES: Options = { json: { type: 'flag', text: 'one JSON object a line' } }
const CHANNELS: Options = {
  channels: {
    type: 'text',
    value: 'FILE',
    text: "a module that exports the application's channels, or its consumers: schema, key and layout are theirs then",
  },
}
export const CHANNEL: Options = {
  ...CHANNELS,
  keyed: { type: 'flag', text: 'the channel has a key (default: as the broker has it)' },
  partitions: { type: 'whole', value: 'N', text: "the channel's partitions (default: as the broker has them)" },
}
export const GROUPS: Options = {
  groups: { type: 'text', value: 'A,B', text: "the channel's groups" },
}
export const REGISTRY: Options = {
  ...CHANNELS,
  registry: {
    type: 'text',
    value: 'URL',
    text: "the schema registry, its path included. Default: that of the channels' codecs, then POLYBUS_REGISTRY",
  },
}
/** What a command takes beside its own. */
export const commonOf = ({ brokerless }: Pick<Command, 'brokerless'>): Options =>
  brokerless ? COMMON : { ...BROKER, ...COMMON }
export const SELECTION: Options = {
  reason: { type: 'text', value: 'REASON', text: 'attempts-exhausted, non-retryable, undecodable, invalid, …' },
  error: { type: 'text', value: 'NAME', text: 'the name of the last error, such as CardDeclined' },
  key: { type: 'text', value: 'KEY', text: "the message's key" },
  since: { type: 'text', value: 'TIME', text: 'last failed then or later: 2h (ago), 7d, or 2025-01-31T12:00Z' },
  until: { type: 'text', value: 'TIME', text: 'last failed then or earlier' },
}
/** Of what cannot be taken back. */
export const ASKED: Options = {
  'dry-run': { type: 'flag', text: 'shows what would be done, and does nothing' },
  yes: { type: 'flag', text: 'does not ask; needed where there is no terminal to ask at' },
}
export const ACT: Options = {
  all: { type: 'flag', text: 'all of them: needed where neither ids nor filters say which' },
  ...ASKED,
}
