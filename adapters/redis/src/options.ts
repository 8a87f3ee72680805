import type { Redis, RedisOptions as ClientOptions } from 'ioredis'
import {
  checkEnvelope,
  checkKeys,
  checkName,
  type Clock,
  type Envelope,
  type ForeignMessage,
  invalid,
  optionalBoolean,
  optionalChoices,
  optionalInteger,
} from '@polybus/core'

/** Hazards that {@link RedisOptions.acceptedHazards} can name. docs/brokers/redis.md says what each one means. */
export type RedisHazard = 'persistence' | 'fsync' | 'eviction' | 'replication'

/**
 * An entry that Polybus did not write, as a {@link RedisEnvelope} sees it. Headers: all fields but the body, of several with one
 * name the last. Key: the value of `keyField`. Body: the value of `bodyField`; without one a JSON object of the fields.
 */
export type RedisForeignMessage = ForeignMessage

/**
 * How entries that Polybus did not write are read, and how those that are published look. `cloudevents`: attributes in `ce_…`
 * fields, structured mode is read too. `none`: the body, the content type and headers; attributes are neither written nor read. `fields`: the
 * values of a JSON object of texts, numbers and truth values are fields, and come back as texts; attributes and headers stay behind.
 * With these two a key needs `keyField`. Functions: read by them, written as `cloudevents`.
 */
export type RedisEnvelope = Envelope | 'fields'

/** How one channel lies on the server, where it is not ours to choose. */
export interface RedisChannelOptions {
  /** The stream of a channel without keys, by its own name. Default `<namespace>:<channel>`. */
  readonly stream?: string | undefined
  /** Default `cloudevents`. */
  readonly envelope?: RedisEnvelope | undefined
  /** Which field of a foreign entry is the body. Default `data`; an entry without it is read as a JSON object of its fields. */
  readonly bodyField?: string | undefined
  /** Which field of a foreign entry is the key. Default `ce_partitionkey`. */
  readonly keyField?: string | undefined
}

export interface RedisOptions {
  /**
   * `redis://user:password@host:6379/0`, or `rediss:` for TLS. `leaseMs`, `laneLeaseMs`, `retentionMs` and
   * `commandTimeoutMs` may stand in its query.
   */
  readonly url?: string | undefined
  /** What ioredis takes (TLS, Sentinel, …), over what the URL says. Reconnecting, resending and queueing stay off: core does that. */
  readonly connection?: ClientOptions | undefined
  /** A client of yours, whose settings are taken over. It is not used itself, nor closed. */
  readonly client?: Redis | undefined
  /**
   * How long a delivery of a channel without keys is its consumer's unless extended. Of members that differ the longest
   * counts when somebody's deliveries are taken over. Default 30,000.
   */
  readonly leaseMs?: number | undefined
  /** How long the lanes of a keyed channel stay with a member that is not heard of. Renewed at a third of it. Default 6,000. */
  readonly laneLeaseMs?: number | undefined
  /** How long a planned hand-over of a lane waits for its handlers. Default 30,000. */
  readonly handoverMs?: number | undefined
  /** Lanes of a keyed channel that names no number of partitions. Recorded in Redis at its creation. Default 8. */
  readonly partitions?: number | undefined
  /** How long entries are kept that every group has finished: history for later groups and `rewind`. Default 600,000 (10 minutes). */
  readonly retentionMs?: number | undefined
  /** Whether streams are trimmed behind every group's oldest unfinished entry. Default true. */
  readonly trim?: boolean | undefined
  /** A server that has not answered a command for so long is given up. Default 5,000. */
  readonly commandTimeoutMs?: number | undefined
  /** Hazards that you know of and accept: they are not reported. */
  readonly acceptedHazards?: readonly RedisHazard[] | undefined
  /** Channels by name. */
  readonly channels?: Readonly<Record<string, RedisChannelOptions>> | undefined
  /** Default: core's system clock. */
  readonly clock?: Clock | undefined
}

/** Checked, with defaults. */
export interface Settings {
  readonly url: string | undefined
  readonly connection: ClientOptions
  readonly client: Redis | undefined
  readonly leaseMs: number
  readonly laneLeaseMs: number
  readonly handoverMs: number
  readonly partitions: number
  readonly retentionMs: number
  readonly trim: boolean
  readonly commandTimeoutMs: number
  readonly acceptedHazards: readonly RedisHazard[]
  readonly channels: ReadonlyMap<string, RedisChannelOptions>
}

const KEYS = [
  'url',
  'connection',
  'client',
  'leaseMs',
  'laneLeaseMs',
  'handoverMs',
  'partitions',
  'retentionMs',
  'trim',
  'commandTimeoutMs',
  'acceptedHazards',
  'channels',
  'clock',
]
const IN_URL = ['leaseMs', 'laneLeaseMs', 'retentionMs', 'commandTimeoutMs']
const HAZARDS: readonly RedisHazard[] = ['persistence', 'fsync', 'eviction', 'replication']
const MAX_MS = 2 ** 31 - 1

export function checkOptions(options: string | RedisOptions): Settings {
  const given: RedisOptions = typeof options === 'string' ? { url: options } : options
  checkKeys(given, KEYS, 'redis()')
  const { url, query } = given.url === undefined ? { url: undefined, query: {} } : readUrl(given.url)
  if (url === undefined && given.client === undefined && given.connection === undefined)
    throw invalid('redis().url', 'is missing. Give a URL such as redis://localhost:6379, a client or a connection.')
  if (given.client !== undefined && (url !== undefined || given.connection !== undefined))
    throw invalid('redis().client', 'stands for url and connection. Leave them out.')
  if ((given.connection?.keyPrefix ?? given.client?.options.keyPrefix ?? '') !== '')
    throw invalid(
      'redis().connection.keyPrefix',
      'is not supported: names on the server are what `namespace` and `channels` make them.',
    )
  checkSentinels(given.connection ?? {})
  const merged: Record<string, unknown> = { ...query, ...given }
  const number = (key: keyof RedisOptions, fallback: number, min: number, max = MAX_MS): number =>
    optionalInteger(merged[key], `redis().${key}`, min, max) ?? fallback
  return {
    url,
    connection: given.connection ?? {},
    client: given.client,
    leaseMs: number('leaseMs', 30_000, 100),
    laneLeaseMs: number('laneLeaseMs', 6000, 300),
    handoverMs: number('handoverMs', 30_000, 0),
    partitions: number('partitions', 8, 1, 256),
    retentionMs: number('retentionMs', 600_000, 0, Number.MAX_SAFE_INTEGER),
    trim: optionalBoolean(given.trim, 'redis().trim') ?? true,
    commandTimeoutMs: number('commandTimeoutMs', 5000, 100),
    acceptedHazards: optionalChoices(given.acceptedHazards, 'redis().acceptedHazards', HAZARDS),
    channels: checkChannels(given.channels ?? {}),
  }
}

/** ioredis would throw what is no error of ours, or wait for a replica that may not be written to. */
function checkSentinels({ sentinels, name, role }: ClientOptions): void {
  if (!sentinels) return
  const where = 'redis().connection'
  if (!Array.isArray(sentinels) || sentinels.length === 0)
    throw invalid(`${where}.sentinels`, "expected at least one, such as { host: 'localhost', port: 26379 }.")
  if (typeof name !== 'string' || name === '')
    throw invalid(`${where}.name`, 'is missing: what the sentinels call the master, such as mymaster.')
  if (role === 'slave') throw invalid(`${where}.role`, 'a replica cannot be written to. Leave it out.')
}

function checkChannels(channels: Readonly<Record<string, RedisChannelOptions>>): Settings['channels'] {
  for (const [name, options] of Object.entries(channels)) {
    const where = `redis().channels.${name}`
    checkName(name, where)
    checkKeys(options, ['stream', 'envelope', 'bodyField', 'keyField'], where)
    const { envelope, ...texts } = options
    checkEnvelope(envelope, `${where}.envelope`, ['fields'])
    for (const [key, value] of Object.entries(texts))
      if (value !== undefined && (typeof value !== 'string' || value === ''))
        throw invalid(`${where}.${key}`, 'expected a text that is not empty.')
  }
  return new Map(Object.entries(channels))
}

/** The URL without its query: ioredis would take any name in it for an option of its own. Errors never show it: it may hold a password. */
function readUrl(text: string): { url: string; query: Record<string, number> } {
  if (typeof text !== 'string') throw invalid('redis().url', 'expected a text.')
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw invalid(
      'redis().url',
      'expected a URL such as redis://localhost:6379 (one host: clusters are not supported).',
    )
  }
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:')
    throw invalid('redis().url', `unknown scheme '${url.protocol}'. Known: redis:, rediss:.`)
  if (url.hostname === '') throw invalid('redis().url', 'has no host. Example: redis://localhost:6379.')
  if (!/^\/?\d*$/.test(url.pathname)) throw invalid('redis().url', 'its path is the number of a database, such as /0.')
  const query: Record<string, number> = {}
  for (const [key, value] of url.searchParams) {
    if (!IN_URL.includes(key)) throw invalid(`redis: URL, ${key}`, `unknown option. Known: ${IN_URL.join(', ')}.`)
    query[key] = Number(value)
  }
  url.search = ''
  return { url: url.href, query }
}
