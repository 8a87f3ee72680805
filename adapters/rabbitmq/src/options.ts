import type { ChannelModel, MessageProperties, SocketOptions } from 'amqplib'
import {
  checkEnvelope,
  checkKeys,
  checkName,
  type Clock,
  type Envelope,
  type ForeignMessage,
  invalid,
  optionalBoolean,
  optionalChoice,
  optionalInteger,
  show,
} from '@polybus/core'

/** Values as AMQP's field tables hold them. */
export type RabbitmqArguments = Readonly<Record<string, unknown>>

/** How a queue hangs on its channel's exchange: a routing key, or what a headers exchange needs. */
export type RabbitmqBinding =
  | string
  | {
      readonly routingKey?: string | undefined
      /** For headers exchanges: `{ 'x-match': 'all', region: 'eu' }`. */
      readonly arguments?: RabbitmqArguments | undefined
    }

/** The exchange of a channel. */
export interface RabbitmqExchange {
  readonly name: string
  /** Default `topic`. */
  readonly type?: 'topic' | 'direct' | 'fanout' | 'headers' | undefined
  /** Further arguments, such as `alternate-exchange`. */
  readonly arguments?: RabbitmqArguments | undefined
  /** `false`: it is somebody else's; it is used as it is and only looked for. Default true. */
  readonly declare?: boolean | undefined
}

/** The queues of one group. */
export interface RabbitmqGroup {
  /** The queue's native name. Default `<namespace>.<channel>.<group>`. On a keyed channel it means one partition. */
  readonly queue?: string | undefined
  /**
   * Arguments of the queue, over ours (quorum, with a delivery limit that is never reached): as an existing one has them, with
   * `'x-queue-type': 'classic'`, `x-max-priority`, … A classic queue is not replicated: that is reported as a hazard.
   */
  readonly arguments?: RabbitmqArguments | undefined
  /** Default: the channel's `routingKey`, or `#` on a topic exchange. An empty list leaves bindings alone. */
  readonly bindings?: readonly RabbitmqBinding[] | undefined
  /** The native name of the queue of dead letters. */
  readonly deadLetter?: string | undefined
  /** `false`: the queue is somebody else's; it is used as it is and only looked for. Default true. */
  readonly declare?: boolean | undefined
}

/** A message that Polybus did not write, as a {@link RabbitmqEnvelope} sees it. */
export interface RabbitmqForeignMessage extends ForeignMessage {
  /** Always: AMQP has no key, and the routing key is another one after a retry. */
  readonly key: null
  /** AMQP's own: `messageId`, `type`, `correlationId`, … */
  readonly properties: MessageProperties
}

/**
 * How messages that Polybus did not write are read, and what goes with those that are published. `cloudevents`: attributes in
 * `ce_…` headers, structured mode is read too. `none`: properties, headers and body as they are, and no `ce_…` header is
 * written: there is no place for a key then. Functions: read by them, written as `cloudevents`.
 */
export type RabbitmqEnvelope = Envelope<RabbitmqForeignMessage>

/** How one channel lies on the server, where it is not ours to choose. */
export interface RabbitmqChannelOptions {
  /** Default: a topic exchange `<namespace>.<channel>`. */
  readonly exchange?: RabbitmqExchange | undefined
  /** What is published with, and what groups are bound by. Default: the message's type; keyed channels use the partition's number. */
  readonly routingKey?: string | undefined
  /** By group. */
  readonly groups?: Readonly<Record<string, RabbitmqGroup>> | undefined
  /** Default `cloudevents`. */
  readonly envelope?: RabbitmqEnvelope | undefined
  /** Whether the `message-id` of messages that Polybus did not write is their id. Default false: some clients use one id for many. */
  readonly trustMessageId?: boolean | undefined
}

export interface RabbitmqOptions {
  /**
   * `amqp://user:password@host:5672/vhost`, or `amqps:` for TLS. `heartbeatMs` and `commandTimeoutMs` may stand in its query.
   * Default `amqp://localhost`.
   */
  readonly url?: string | undefined
  /**
   * Opens a connection of amqplib, instead of `url` and `socket`: for credentials that change, say. Called twice for each
   * connection of the bus, and again after each loss; what it opens is ours to close. Connections that exist already are not
   * taken: the first loss would end them for good.
   */
  readonly client?: ((name: string) => Promise<ChannelModel>) | undefined
  /** What amqplib takes for the socket (TLS: `ca`, `cert`, `key`; `credentials`; `clientProperties`). */
  readonly socket?: SocketOptions | undefined
  /** How often both sides show that they live, in whole seconds; after two missed ones a connection is given up. Default 5,000. */
  readonly heartbeatMs?: number | undefined
  /** A server that has not answered a question for so long is given up. Default 5,000. */
  readonly commandTimeoutMs?: number | undefined
  /** Partitions of a keyed channel that names no number. Recorded on the broker at its creation. Default 8. */
  readonly partitions?: number | undefined
  /** How often a member of a group of a keyed channel says that it is there. Four times this without a word, and its lanes go to the others. Default 1,000. */
  readonly memberBeatMs?: number | undefined
  /** How long a planned hand-over of a lane waits for its handlers. Default 30,000. */
  readonly handoverMs?: number | undefined
  /**
   * How often the declared groups' queues are bound anew beside what is published, in case somebody removed a binding: AMQP shows
   * none. 0: with every batch. That the queues are there is asked with every batch in any case. Default 1,000.
   */
  readonly verifyMs?: number | undefined
  /**
   * How often a consumer binds its group anew: a binding that somebody removed cannot be seen, and of what other programs publish
   * the group then gets nothing. 0: never. Default 30,000.
   */
  readonly rebindMs?: number | undefined
  /** The server's `consumer_timeout`: for so long it waits for an ack before it closes the channel. Handlers get two thirds of it. Default 1,800,000. */
  readonly consumerTimeoutMs?: number | undefined
  /** The server's `max_message_size`. Default 134,217,728 (16 MiB from RabbitMQ 4.0 on: give it then). */
  readonly maxMessageBytes?: number | undefined
  /** Channels by name. */
  readonly channels?: Readonly<Record<string, RabbitmqChannelOptions>> | undefined
  /** Default: core's system clock. */
  readonly clock?: Clock | undefined
}

/** Checked, with defaults. */
export interface Settings {
  readonly url: URL
  readonly client: ((name: string) => Promise<ChannelModel>) | undefined
  readonly socket: SocketOptions
  readonly heartbeatMs: number
  readonly commandTimeoutMs: number
  readonly partitions: number
  readonly memberBeatMs: number
  readonly handoverMs: number
  readonly verifyMs: number
  readonly rebindMs: number
  readonly consumerTimeoutMs: number
  readonly maxMessageBytes: number
  readonly channels: ReadonlyMap<string, RabbitmqChannelOptions>
}

const KEYS = [
  'url',
  'client',
  'socket',
  'heartbeatMs',
  'commandTimeoutMs',
  'partitions',
  'memberBeatMs',
  'handoverMs',
  'verifyMs',
  'rebindMs',
  'consumerTimeoutMs',
  'maxMessageBytes',
  'channels',
  'clock',
]
const CHANNEL_KEYS = ['exchange', 'routingKey', 'envelope', 'groups', 'trustMessageId']
const EXCHANGE_KEYS = ['name', 'type', 'arguments', 'declare']
const GROUP_KEYS = ['queue', 'arguments', 'bindings', 'deadLetter', 'declare']
const IN_URL = ['heartbeatMs', 'commandTimeoutMs']
const MAX_MS = 2 ** 31 - 1

export function checkOptions(options: string | RabbitmqOptions): Settings {
  const given: RabbitmqOptions = typeof options === 'string' ? { url: options } : options
  checkKeys(given, KEYS, 'rabbitmq()')
  const { url, query } = readUrl(given.url ?? 'amqp://localhost')
  const merged: Record<string, unknown> = { ...query, ...given }
  const number = (key: keyof RabbitmqOptions, fallback: number, min: number, max = MAX_MS): number =>
    optionalInteger(merged[key], `rabbitmq().${key}`, min, max) ?? fallback
  const heartbeatMs = number('heartbeatMs', 5000, 1000, 60_000)
  if (heartbeatMs % 1000 !== 0)
    throw invalid('rabbitmq().heartbeatMs', 'expected whole seconds, such as 5000: AMQP counts in them.')
  const { socket = {}, channels = {} } = given
  if (typeof socket !== 'object' || socket === null) throw invalid('rabbitmq().socket', 'expected an object.')
  if (given.client !== undefined && typeof given.client !== 'function')
    throw invalid('rabbitmq().client', 'expected a function that opens a connection: () => connect(…) of amqplib.')
  if (given.client !== undefined && (given.url !== undefined || given.socket !== undefined))
    throw invalid('rabbitmq().client', 'stands for url and socket. Leave them out.')
  return {
    url,
    client: given.client,
    socket,
    heartbeatMs,
    commandTimeoutMs: number('commandTimeoutMs', 5000, 100),
    partitions: number('partitions', 8, 1, 256),
    memberBeatMs: number('memberBeatMs', 1000, 50),
    handoverMs: number('handoverMs', 30_000, 0),
    verifyMs: number('verifyMs', 1000, 0),
    rebindMs: number('rebindMs', 30_000, 0),
    consumerTimeoutMs: number('consumerTimeoutMs', 1_800_000, 60_000),
    maxMessageBytes: number('maxMessageBytes', 128 * 2 ** 20, 1024, 512 * 2 ** 20),
    channels: checkChannels(channels),
  }
}

function checkChannels(channels: Readonly<Record<string, RabbitmqChannelOptions>>): Settings['channels'] {
  for (const [name, options] of Object.entries(channels)) {
    const where = `rabbitmq().channels.${name}`
    checkName(name, where)
    checkKeys(options, CHANNEL_KEYS, where)
    if (options.exchange !== undefined) {
      checkKeys(options.exchange, EXCHANGE_KEYS, `${where}.exchange`)
      requiredText(options.exchange.name, `${where}.exchange.name`)
      optionalChoice(options.exchange.type, `${where}.exchange.type`, ['topic', 'direct', 'fanout', 'headers'])
      optionalTable(options.exchange.arguments, `${where}.exchange.arguments`)
      optionalBoolean(options.exchange.declare, `${where}.exchange.declare`)
    }
    optionalText(options.routingKey, `${where}.routingKey`)
    checkEnvelope(options.envelope, `${where}.envelope`)
    optionalBoolean(options.trustMessageId, `${where}.trustMessageId`)
    for (const [group, each] of Object.entries(options.groups ?? {})) checkGroup(group, each, `${where}.groups`)
  }
  return new Map(Object.entries(channels))
}

function checkGroup(group: string, options: RabbitmqGroup, at: string): void {
  const where = `${at}.${group}`
  checkName(group, where)
  checkKeys(options, GROUP_KEYS, where)
  optionalText(options.queue, `${where}.queue`, 1)
  optionalText(options.deadLetter, `${where}.deadLetter`, 1)
  optionalTable(options.arguments, `${where}.arguments`)
  optionalBoolean(options.declare, `${where}.declare`)
  if (options.bindings !== undefined && !Array.isArray(options.bindings))
    throw invalid(`${where}.bindings`, `expected an array, got ${show(options.bindings)}.`)
  for (const [index, binding] of (options.bindings ?? []).entries()) {
    const place = `${where}.bindings[${index}]`
    if (typeof binding === 'string') {
      optionalText(binding, place)
      continue
    }
    checkKeys(binding, ['routingKey', 'arguments'], place)
    optionalText(binding.routingKey, `${place}.routingKey`)
    optionalTable(binding.arguments, `${place}.arguments`)
  }
}

function requiredText(value: unknown, where: string): void {
  if (value === undefined) throw invalid(where, 'is missing.')
  optionalText(value, where, 1)
}
function optionalText(value: unknown, where: string, min = 0): void {
  if (value === undefined) return
  if (typeof value !== 'string' || value.length < min || Buffer.byteLength(value) > 255)
    throw invalid(where, `expected a text of ${min} to 255 bytes, got ${show(value)}.`)
}

function optionalTable(value: unknown, where: string): void {
  if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value)))
    throw invalid(where, `expected an object, got ${show(value)}.`)
}

/** Errors never show the URL: it may hold a password. */
function readUrl(text: unknown): { url: URL; query: Record<string, number> } {
  if (typeof text !== 'string' || text === '')
    throw invalid('rabbitmq().url', 'is missing. Give a URL such as amqp://localhost:5672.')
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw invalid('rabbitmq().url', 'expected a URL such as amqp://localhost:5672 (one host).')
  }
  if (url.protocol !== 'amqp:' && url.protocol !== 'amqps:')
    throw invalid('rabbitmq().url', `unknown scheme '${url.protocol}'. Known: amqp:, amqps:.`)
  if (url.hostname === '') throw invalid('rabbitmq().url', 'has no host. Example: amqp://localhost:5672.')
  if (url.pathname.slice(1).includes('/'))
    throw invalid('rabbitmq().url', 'its path is the name of a vhost; write a slash within it as %2F.')
  const query: Record<string, number> = {}
  for (const [key, value] of url.searchParams) {
    if (!IN_URL.includes(key)) throw invalid(`amqp: URL, ${key}`, `unknown option. Known: ${IN_URL.join(', ')}.`)
    query[key] = Number(value)
  }
  url.search = ''
  return { url, query }
}
