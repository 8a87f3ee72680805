import type { SQSClientConfig } from '@aws-sdk/client-sqs'
import {
  checkEnvelope,
  checkKeys,
  checkName,
  type Clock,
  type Envelope,
  type ForeignMessage,
  invalid,
  optionalChoice,
  optionalChoices,
  optionalInteger,
} from '@polybus/core'
import { readUrl } from './url.ts'

/** Hazards that {@link SqsOptions.acceptedHazards} can name. docs/brokers/sqs.md says what each one means. */
export type SqsHazard = 'retention' | 'redrive'

/** A message of another program, as an {@link SqsEnvelope} sees it: its headers are its message attributes, its key the message group id. */
export type SqsForeignMessage = ForeignMessage

/**
 * How messages of other programs are read, and how those that are published look. `cloudevents`: attributes `ce_…`; structured
 * mode is read too. `none`: the body, its content type, and headers as attributes. `sns`: what an SNS topic delivers is
 * unwrapped. Functions: read by them. Published as `cloudevents`, but for `none`.
 */
export type SqsEnvelope = Envelope<SqsForeignMessage> | 'sns'

/** The queues of one group, where they are not ours to name. */
export interface SqsGroup {
  /** Default: the queue `<namespace>--<channel>--<group>`, with `.fifo` on a keyed channel. */
  readonly queueUrl?: string | undefined
  /** Default: the queue `<namespace>--<channel>--<group>--dlq`, with `.fifo` on a keyed channel. */
  readonly deadLetterQueueUrl?: string | undefined
}

/** How one channel lies on SQS, where it is not ours to choose. */
export interface SqsChannelOptions {
  /** Default `cloudevents`. */
  readonly envelope?: SqsEnvelope | undefined
  /** By group. */
  readonly groups?: Readonly<Record<string, SqsGroup>> | undefined
}

export interface SqsOptions {
  /**
   * `sqs:` is AWS, with region and credentials as the SDK finds them; `sqs://eu-west-1` or `sqs://?region=eu-west-1` names the
   * region; `sqs://host:port` is an emulator by plain HTTP, whose credentials may stand before the host. `region`, `endpoint`
   * and the numbers below may stand in the query. Default `sqs:`.
   */
  readonly url?: string | undefined
  /** Default: what the SDK finds (AWS_REGION, the profile); with a host in the URL also `us-east-1`. */
  readonly region?: string | undefined
  /** Another address than that of the region, such as `https://vpce-….sqs.eu-west-1.vpce.amazonaws.com`. Queue URLs then keep their path alone. */
  readonly endpoint?: string | undefined
  /**
   * What else the SDK's client takes: `credentials`, `profile`, `requestHandler`, … Retries and time-outs are set by the
   * adapter. Without credentials the SDK's own chain finds them: environment, profile, SSO, web identity, container, instance.
   */
  readonly client?: Partial<SQSClientConfig> | undefined
  /** How long a delivery is its consumer's unless extended, which happens at a third of it. Whole seconds, up to 12 hours. Default 30,000. */
  readonly visibilityMs?: number | undefined
  /** How long a poll that finds nothing waits at the queue. Whole seconds, from 0 to 10,000. Longer is cheaper where little happens, and a stop waits for it. Default 1,000. */
  readonly waitMs?: number | undefined
  /** A request that has not been answered for so long is given up; a poll gets its wait on top. Default 5,000. */
  readonly requestTimeoutMs?: number | undefined
  /**
   * Hand-overs after which SQS itself moves a message to the dead-letter queue: the backstop behind Polybus's own count. Every
   * hand-over counts, also those whose message never ran. Used where a queue is created. Default 1,000, which is SQS's most.
   */
  readonly maxReceiveCount?: number | undefined
  /**
   * The largest message, and the largest sum of a batch, in bytes of bodies and attributes. AWS allows 1,048,576, a queue what
   * its `MaximumMessageSize` says, ElasticMQ 262,144. Default 262,144, which fits all of them.
   */
  readonly maxMessageBytes?: number | undefined
  /**
   * FIFO queues that Polybus creates: what a deduplication id is compared with for 5 minutes, and what the limit of throughput
   * is counted by. `messageGroup` is what AWS calls high throughput. Default `messageGroup`.
   */
  readonly deduplication?: 'messageGroup' | 'queue' | undefined
  /** Hazards that you know of and accept: they are not reported. */
  readonly acceptedHazards?: readonly SqsHazard[] | undefined
  /** Channels by name. */
  readonly channels?: Readonly<Record<string, SqsChannelOptions>> | undefined
  /** Default: core's system clock. */
  readonly clock?: Clock | undefined
}

/** Checked, with defaults. */
export interface Settings {
  /** Undefined: what the SDK finds. */
  readonly region: string | undefined
  /** Undefined: AWS. Where it is set, no queue's URL is used as an endpoint. */
  readonly endpoint: string | undefined
  /** What else the SDK's clients take (credentials, profile, …); ours goes over it. */
  readonly client: Partial<SQSClientConfig>
  /** The credentials are values that nobody renews: once expired they stay so. */
  readonly fixedCredentials: boolean
  /** How long a delivery is ours unless extended: whole seconds. */
  readonly visibilityMs: number
  /** How long a poll that finds nothing waits at the queue: whole seconds. */
  readonly waitMs: number
  /** A request without an answer for so long is given up; a long poll gets its wait on top. */
  readonly requestTimeoutMs: number
  /** Of the backstop redrive policy. */
  readonly maxReceiveCount: number
  /** SQS's limit for one message, and for the sum of a batch. */
  readonly maxMessageBytes: number
  /** Of FIFO queues that are created. */
  readonly deduplication: 'messageGroup' | 'queue'
  readonly acceptedHazards: readonly SqsHazard[]
  readonly channels: ReadonlyMap<string, SqsChannelOptions>
}

const KEYS = [
  'url',
  'region',
  'endpoint',
  'client',
  'visibilityMs',
  'waitMs',
  'requestTimeoutMs',
  'maxReceiveCount',
  'maxMessageBytes',
  'deduplication',
  'acceptedHazards',
  'channels',
  'clock',
]
const HAZARDS: readonly SqsHazard[] = ['retention', 'redrive']

export function checkOptions(options: string | SqsOptions): Settings {
  const given: SqsOptions = typeof options === 'string' ? { url: options } : options
  checkKeys(given, KEYS, 'sqs()')
  const url = readUrl(given.url ?? 'sqs:')
  const { client = {}, channels = {} } = given
  if (typeof client !== 'object' || client === null || Array.isArray(client) || 'send' in client)
    throw invalid('sqs().client', "expected an object of settings such as { profile: 'dev' }, not a client.")
  if (url.endpoint !== undefined && given.endpoint !== undefined)
    throw invalid('sqs().endpoint', 'is given by the host of the URL too. Leave one of them out.')
  const merged: Record<string, unknown> = { ...url.query, ...given }
  const number = (key: keyof SqsOptions, fallback: number, min: number, max: number): number =>
    optionalInteger(merged[key], `sqs().${key}`, min, max) ?? fallback
  const seconds = (key: keyof SqsOptions, fallback: number, min: number, max: number): number => {
    const ms = number(key, fallback, min, max)
    if (ms % 1000 !== 0) throw invalid(`sqs().${key}`, 'expected whole seconds, such as 30000: SQS counts in them.')
    return ms
  }
  const own = url.credentials === undefined ? client : { credentials: url.credentials, ...client }
  return {
    region:
      text(merged['region'], 'sqs().region', /^[a-z0-9-]+$/) ?? (client.region === undefined ? url.region : undefined),
    endpoint: url.endpoint ?? text(merged['endpoint'], 'sqs().endpoint', /^https?:\/\/[^/@?#\s]+\/?$/),
    client: own,
    fixedCredentials: isFixed(own.credentials),
    visibilityMs: seconds('visibilityMs', 30_000, 1000, 43_200_000),
    waitMs: seconds('waitMs', 1000, 0, 10_000),
    requestTimeoutMs: number('requestTimeoutMs', 5000, 100, 60_000),
    maxReceiveCount: number('maxReceiveCount', 1000, 1, 1000),
    maxMessageBytes: number('maxMessageBytes', 262_144, 1024, 1_048_576),
    deduplication:
      optionalChoice(given.deduplication, 'sqs().deduplication', ['messageGroup', 'queue']) ?? 'messageGroup',
    acceptedHazards: optionalChoices(given.acceptedHazards, 'sqs().acceptedHazards', HAZARDS),
    channels: checkChannels(channels),
  }
}

/** An identity with an expiration was made by somebody who makes another one; a function is asked again. */
const isFixed = (credentials: SQSClientConfig['credentials']): boolean =>
  typeof credentials === 'object' && credentials.expiration === undefined

function text(value: unknown, where: string, pattern: RegExp): string | undefined {
  if (value === undefined) return undefined
  // What does not fit may be a secret in the wrong place.
  if (typeof value !== 'string' || !pattern.test(value))
    throw invalid(
      where,
      where.endsWith('region')
        ? "expected a region such as 'eu-west-1'."
        : "expected a URL such as 'https://host:port'.",
    )
  return value
}

function checkChannels(channels: Readonly<Record<string, SqsChannelOptions>>): Settings['channels'] {
  for (const [name, options] of Object.entries(channels)) {
    const where = `sqs().channels.${name}`
    checkName(name, where)
    checkKeys(options, ['envelope', 'groups'], where)
    checkEnvelope(options.envelope, `${where}.envelope`, ['sns'])
    for (const [group, own] of Object.entries(options.groups ?? {})) {
      const at = `${where}.groups.${group}`
      checkName(group, at)
      checkKeys(own, ['queueUrl', 'deadLetterQueueUrl'], at)
      const [queue, dead] = (['queueUrl', 'deadLetterQueueUrl'] as const).map((key) =>
        queueUrl(own[key], `${at}.${key}`),
      )
      if (queue !== undefined && queue === dead) throw invalid(`${at}.deadLetterQueueUrl`, 'is the queue itself.')
    }
  }
  return new Map(Object.entries(channels))
}

function queueUrl(value: unknown, where: string): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !/^https?:\/\/[^\s@?#]+\/[A-Za-z0-9_-]{1,80}(\.fifo)?$/.test(value))
    throw invalid(where, "expected a queue's URL, such as 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders'.")
  return value
}
