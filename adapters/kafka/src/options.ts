import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { KafkaConfig, SASLOptions } from 'kafkajs'
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
  optionalChoices,
  optionalInteger,
  show,
} from '@polybus/core'
import { type KafkaLogin, type KafkaUrl, readUrl } from './url.ts'

/** Hazards that {@link KafkaOptions.acceptedHazards} can name. docs/brokers/kafka.md says what each one means. */
export type KafkaHazard =
  | 'replication'
  | 'min-insync-replicas'
  | 'unclean-leader-election'
  | 'retention'
  | 'compaction'
  | 'offsets-retention'
  | 'crash-guard'

export type KafkaCompression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

export type { Envelope, ForeignMessage }

/** The native names of one group, where they are not ours to choose. */
export interface KafkaGroup {
  /** The consumer group's id: with that of a former consumer its offsets go on. Default `<namespace>.<channel>.<group>`. */
  readonly groupId?: string | undefined
  /** The topic of dead letters. Default `<namespace>.<channel>.<group>.dlq`. */
  readonly deadLetter?: string | undefined
}

/** How one channel lies on the cluster, where it is not ours to choose. */
export interface KafkaChannelOptions {
  /** The topic's own name. Default `<namespace>.<channel>`. */
  readonly topic?: string | undefined
  /** Used at creation only, where the channel itself names no number. Default {@link KafkaOptions.partitions}. */
  readonly partitions?: number | undefined
  /** Used at creation only, for the channel's topic and those of its groups. Default {@link KafkaOptions.replicationFactor}. */
  readonly replicationFactor?: number | undefined
  /** Settings of the channel's topic, such as `{ 'cleanup.policy': 'compact', 'retention.ms': '86400000' }`. Used at creation; later they are compared. */
  readonly config?: Readonly<Record<string, string>> | undefined
  /** `false`: the topic is somebody else's; it is used as it is and only looked for. Default true. */
  readonly declare?: boolean | undefined
  /** Default `cloudevents`. */
  readonly envelope?: Envelope | undefined
  /** By group. */
  readonly groups?: Readonly<Record<string, KafkaGroup>> | undefined
}

export interface KafkaOptions {
  /**
   * `kafka://user:password@host1:9092,host2:9092`. In its query may stand `ssl=true`, `sasl` (`plain`, which is the default
   * where there is a user, `scram-sha-256`, `scram-sha-512`), `client`, `compression`, and the numbers below.
   * Default `kafka://localhost:9092`.
   */
  readonly url?: string | undefined
  /**
   * The library that connects to Kafka: `kafkajs`, which comes with this package, or `platformatic`, which needs the package
   * @platformatic/kafka. Or its settings, over what the URL says: what kafkajs takes (`brokers`, `clientId`, `ssl`, `sasl` with
   * its OAUTHBEARER and AWS forms, `socketFactory`, time-outs; its retries and its logger are set by the adapter), or
   * {@link PlatformaticOptions}. Both do the same, and differ in these settings alone. Default `kafkajs`.
   */
  readonly client?: 'kafkajs' | 'platformatic' | Partial<KafkaConfig> | PlatformaticOptions | undefined
  /** After so long without a heartbeat a member is taken for dead and its partitions go to the others. The broker allows from 6,000 to 1,800,000 by default. Default 10,000. */
  readonly sessionTimeoutMs?: number | undefined
  /** How often a member says that it lives, and so how soon it hears of a rebalance. Default 1,000. */
  readonly heartbeatMs?: number | undefined
  /** How often settled positions are committed. After a crash what was settled since is delivered again. Default 500. */
  readonly commitMs?: number | undefined
  /** How long a rebalance waits for running handlers. Default 30,000. */
  readonly handoverMs?: number | undefined
  /** A broker that has not answered a request for so long is given up. Default 5,000. */
  readonly commandTimeoutMs?: number | undefined
  /** Partitions of topics that Polybus creates and whose channel names no number. Default 8. */
  readonly partitions?: number | undefined
  /** Replicas of topics that Polybus creates. Default: the broker's `default.replication.factor`. */
  readonly replicationFactor?: number | undefined
  /** How long the topics of channels that Polybus creates keep messages. Default: the broker's (a week). Dead letters are kept for ever. */
  readonly retentionMs?: number | undefined
  /**
   * What a group does whose committed position is no longer in the log. `error`: the subscription fails and says so.
   * `beginning`: go on with the oldest that is there (what lay before is lost). `end`: skip all. Default `error`.
   */
  readonly offsetOutOfRange?: 'error' | 'beginning' | 'end' | undefined
  /** Whether the broker drops what a producer's own retries would write twice. `false` saves a permission on old clusters. Default true. */
  readonly idempotent?: boolean | undefined
  /** How what is sent is compressed. `snappy` needs the package snappy, `lz4` the package lz4-napi. Default `none`. */
  readonly compression?: KafkaCompression | undefined
  /** Hazards that you know of and accept: they are not reported. */
  readonly acceptedHazards?: readonly KafkaHazard[] | undefined
  /** Channels by name. */
  readonly channels?: Readonly<Record<string, KafkaChannelOptions>> | undefined
  /** Default: core's system clock. */
  readonly clock?: Clock | undefined
}

/** How @platformatic/kafka connects, where the URL does not say it. */
export interface PlatformaticOptions {
  readonly kind: 'platformatic'
  /** Such as `['localhost:9092']`. Default: those of the URL. */
  readonly brokers?: readonly string[] | undefined
  /** What the broker's logs and quotas know this client by. Default: the service's name, and a part of its own. */
  readonly clientId?: string | undefined
  /** TLS, with Node's own options for it. Default: as the URL says. */
  readonly ssl?: boolean | TlsOptions | undefined
  /** A login. Default: that of the URL. */
  readonly sasl?: KafkaLogin | undefined
  /** How long a connection may take, its login included. Default `commandTimeoutMs`. */
  readonly connectTimeoutMs?: number | undefined
  /** Where a broker is reached that tells this address, as through a tunnel; those of `brokers` are asked for too. Default: as told. */
  readonly addressOf?: ((told: KafkaAddress) => KafkaAddress) | undefined
}
export interface KafkaAddress {
  readonly host: string
  readonly port: number
}

/** For kafkajs: `brokers` always, and what was given. */
export type KafkajsSettings = Partial<KafkaConfig> & Pick<KafkaConfig, 'brokers'> & { readonly kind?: never }
export type PlatformaticSettings = PlatformaticOptions & { readonly brokers: readonly string[] }

/** Checked, with defaults. */
export interface Settings {
  readonly client: KafkajsSettings | PlatformaticSettings
  readonly sessionTimeoutMs: number
  readonly heartbeatMs: number
  readonly commitMs: number
  readonly handoverMs: number
  readonly commandTimeoutMs: number
  readonly partitions: number
  readonly replicationFactor: number | undefined
  readonly retentionMs: number | undefined
  readonly offsetOutOfRange: 'error' | 'beginning' | 'end'
  readonly idempotent: boolean
  readonly compression: KafkaCompression
  readonly acceptedHazards: readonly KafkaHazard[]
  readonly channels: ReadonlyMap<string, KafkaChannelOptions>
}

const KEYS = [
  'url',
  'client',
  'sessionTimeoutMs',
  'heartbeatMs',
  'commitMs',
  'handoverMs',
  'commandTimeoutMs',
  'partitions',
  'replicationFactor',
  'retentionMs',
  'offsetOutOfRange',
  'idempotent',
  'compression',
  'acceptedHazards',
  'channels',
  'clock',
]
/** Those that the URL's query may hold. */
const NUMBERS = [
  'sessionTimeoutMs',
  'heartbeatMs',
  'commitMs',
  'handoverMs',
  'commandTimeoutMs',
  'partitions',
  'replicationFactor',
  'retentionMs',
]
const CLIENT_KEYS = [
  'brokers',
  'clientId',
  'ssl',
  'sasl',
  'connectionTimeout',
  'authenticationTimeout',
  'reauthenticationThreshold',
  'requestTimeout',
  'socketFactory',
]
const PLATFORMATIC_KEYS = ['kind', 'brokers', 'clientId', 'ssl', 'sasl', 'connectTimeoutMs', 'addressOf']
const CHANNEL_KEYS = ['topic', 'partitions', 'replicationFactor', 'config', 'declare', 'envelope', 'groups']
const HAZARDS: readonly KafkaHazard[] = [
  'replication',
  'min-insync-replicas',
  'unclean-leader-election',
  'retention',
  'compaction',
  'offsets-retention',
  'crash-guard',
]
const COMPRESSIONS: readonly KafkaCompression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const MAX_MS = 2 ** 31 - 1
const MAX_PARTITIONS = 10_000

export function checkOptions(options: string | KafkaOptions): Settings {
  const given: KafkaOptions = typeof options === 'string' ? { url: options } : options
  checkKeys(given, KEYS, 'kafka()')
  const url = readUrl(given.url ?? 'kafka:', [...NUMBERS, 'compression', 'client'])
  const { query } = url
  const numbers = Object.fromEntries(
    NUMBERS.filter((name) => query.has(name)).map((name) => [name, Number(query.get(name))]),
  )
  const merged: Record<string, unknown> = { ...numbers, ...given }
  const number = (key: keyof KafkaOptions, fallback: number, min: number, max = MAX_MS): number =>
    optionalInteger(merged[key], `kafka().${key}`, min, max) ?? fallback
  const sessionTimeoutMs = number('sessionTimeoutMs', 10_000, 1000)
  const heartbeatMs = number('heartbeatMs', Math.min(1000, Math.floor(sessionTimeoutMs / 4)), 50)
  if (heartbeatMs * 2 > sessionTimeoutMs)
    throw invalid(
      'kafka().heartbeatMs',
      `must be at most half of sessionTimeoutMs (${sessionTimeoutMs}), got ${heartbeatMs}: one late heartbeat must not cost the partitions.`,
    )
  const compression = given.compression ?? (query.get('compression') as KafkaCompression | undefined)
  return {
    client: checkClient(given.client ?? query.get('client') ?? {}, url),
    sessionTimeoutMs,
    heartbeatMs,
    commitMs: number('commitMs', 500, 10),
    handoverMs: number('handoverMs', 30_000, 0, 600_000),
    commandTimeoutMs: number('commandTimeoutMs', 5000, 100),
    partitions: number('partitions', 8, 1, MAX_PARTITIONS),
    replicationFactor: optionalInteger(merged['replicationFactor'], 'kafka().replicationFactor', 1, 32_767),
    retentionMs: optionalInteger(merged['retentionMs'], 'kafka().retentionMs', -1),
    offsetOutOfRange:
      optionalChoice(given.offsetOutOfRange, 'kafka().offsetOutOfRange', ['error', 'beginning', 'end']) ?? 'error',
    idempotent: optionalBoolean(given.idempotent, 'kafka().idempotent') ?? true,
    compression: optionalChoice(compression, 'kafka().compression', COMPRESSIONS) ?? 'none',
    acceptedHazards: optionalChoices(given.acceptedHazards, 'kafka().acceptedHazards', HAZARDS),
    channels: checkChannels(given.channels ?? {}),
  }
}

function checkClient(given: NonNullable<KafkaOptions['client']> | string, url: KafkaUrl): Settings['client'] {
  const where = 'kafka().client'
  const { brokers, sasl, ssl } = url
  const fromUrl = { brokers, ...(ssl && { ssl }), ...(sasl && { sasl }) }
  if (typeof given === 'string')
    return optionalChoice(given, where, ['kafkajs', 'platformatic']) === 'platformatic'
      ? { kind: 'platformatic', ...fromUrl }
      : fromUrl
  if (typeof given === 'object' && 'kind' in given)
    return checkPlatformatic(given, { kind: 'platformatic', ...fromUrl })
  checkKeys(given, CLIENT_KEYS, where)
  if (typeof given.brokers !== 'function') checkBrokers(given.brokers, ', or a function that gives one.')
  checkLogin(given.sasl)
  return { ...fromUrl, ...defined(given) }
}

function checkPlatformatic(given: PlatformaticOptions, fromUrl: PlatformaticSettings): PlatformaticSettings {
  const where = 'kafka().client'
  if (optionalChoice(given.kind, `${where}.kind`, ['platformatic']) === undefined)
    throw invalid(`${where}.kind`, "expected 'platformatic'; what kafkajs takes has no kind.")
  checkKeys(given, PLATFORMATIC_KEYS, where)
  checkBrokers(given.brokers, '.')
  checkLogin(given.sasl)
  const { username, password } = given.sasl ?? { username: '', password: '' }
  if (typeof username !== 'string' || typeof password !== 'string')
    throw invalid(`${where}.sasl`, 'expected a username and a password, both texts.')
  optionalChoice(given.sasl?.mechanism, `${where}.sasl.mechanism`, ['plain', 'scram-sha-256', 'scram-sha-512'])
  if (
    given.ssl !== undefined &&
    typeof given.ssl !== 'boolean' &&
    (typeof given.ssl !== 'object' || given.ssl === null)
  )
    throw invalid(`${where}.ssl`, 'expected true, false, or an object of options for TLS.')
  if (given.clientId !== undefined && (typeof given.clientId !== 'string' || given.clientId === ''))
    throw invalid(`${where}.clientId`, 'expected a text.')
  optionalInteger(given.connectTimeoutMs, `${where}.connectTimeoutMs`, 100, MAX_MS)
  if (given.addressOf !== undefined && typeof given.addressOf !== 'function')
    throw invalid(`${where}.addressOf`, 'expected a function of { host, port }.')
  return { ...fromUrl, ...defined(given) }
}

function checkBrokers(brokers: unknown, more: string): void {
  const where = 'kafka().client.brokers'
  if (brokers === undefined) return
  if (!Array.isArray(brokers) || brokers.length === 0)
    throw invalid(where, `expected a list such as ['localhost:9092']${more}`)
  for (const broker of brokers)
    if (typeof broker !== 'string' || !/^[^\s/@]+:\d{1,5}$/.test(broker))
      throw invalid(where, "expected entries such as 'localhost:9092': host and port, no scheme.")
}

function checkLogin(sasl: unknown): void {
  if (sasl !== undefined && (typeof sasl !== 'object' || typeof (sasl as SASLOptions | null)?.mechanism !== 'string'))
    throw invalid(
      'kafka().client.sasl',
      "expected an object such as { mechanism: 'scram-sha-512', username, password }.",
    )
}

/** Without what is there but undefined. */
const defined = <T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never

function checkChannels(channels: Readonly<Record<string, KafkaChannelOptions>>): Settings['channels'] {
  if (typeof channels !== 'object' || channels === null) throw invalid('kafka().channels', 'expected an object.')
  for (const [name, options] of Object.entries(channels)) {
    const where = `kafka().channels.${name}`
    checkName(name, where)
    checkKeys(options, CHANNEL_KEYS, where)
    checkNative(options.topic, `${where}.topic`)
    optionalInteger(options.partitions, `${where}.partitions`, 1, MAX_PARTITIONS)
    optionalInteger(options.replicationFactor, `${where}.replicationFactor`, 1, 32_767)
    checkConfig(options.config, `${where}.config`)
    optionalBoolean(options.declare, `${where}.declare`)
    checkEnvelope(options.envelope, `${where}.envelope`)
    for (const [group, own] of Object.entries(options.groups ?? {})) {
      checkName(group, `${where}.groups`)
      checkKeys(own, ['groupId', 'deadLetter'], `${where}.groups.${group}`)
      if (own.groupId !== undefined && (typeof own.groupId !== 'string' || !/^.{1,255}$/.test(own.groupId)))
        throw invalid(`${where}.groups.${group}.groupId`, 'expected a text of 1 to 255 characters.')
      checkNative(own.deadLetter, `${where}.groups.${group}.deadLetter`)
    }
  }
  return new Map(Object.entries(channels))
}

/** Kafka's own rule for the names of topics. */
function checkNative(value: unknown, where: string): void {
  if (value === undefined) return
  if (typeof value !== 'string' || !/^[A-Za-z0-9._-]{1,249}$/.test(value) || value === '.' || value === '..')
    throw invalid(where, `expected a topic's name: 1 to 249 letters, digits, '.', '_' and '-', got ${show(value)}.`)
}

function checkConfig(value: unknown, where: string): void {
  if (value === undefined) return
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(where, `expected an object such as { 'retention.ms': '86400000' }, got ${show(value)}.`)
  for (const [key, text] of Object.entries(value))
    if (typeof text !== 'string')
      throw invalid(`${where}.${key}`, `expected a text (Kafka's settings are texts), got ${show(text)}.`)
}
