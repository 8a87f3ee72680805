// Every error of Kafka and of its client libraries as ours, from one table.
import { type ErrorCode, PolybusError } from '@polybus/core'

export type Sent = 'no' | 'unknown'

/** Nobody answers. `sent: 'unknown'` where bytes have left. */
export const connectionFailed = (text: string, sent?: Sent, cause?: unknown): PolybusError =>
  new PolybusError('CONNECTION_FAILED', `Kafka cannot be reached, or the connection was lost: ${text}`, { sent, cause })

export const aborted = (sent?: Sent): PolybusError => new PolybusError('ABORTED', undefined, { sent })

export const closed = (): PolybusError => new PolybusError('CLOSED', 'This Kafka adapter is closed.', { sent: 'no' })

export const leaseLost = (position: string, cause?: unknown): PolybusError =>
  new PolybusError('LEASE_LOST', `The delivery of ${position} is no longer ours: its partition moved.`, { cause })

export const feedBroken = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('FEED_BROKEN', text, { cause })

export const notAttempted = (): PolybusError => new PolybusError('NOT_ATTEMPTED', undefined, { sent: 'no' })

export const CREATE_IT = ' Create it: docs/brokers/kafka.md lists what a channel needs.'
/** `retryable`: whoever asks may create it and try again. */
export const missing = (what: string, mayCreate: boolean, sent: Sent = 'no'): PolybusError =>
  new PolybusError('TOPOLOGY_MISSING', `Kafka has no ${what}.${mayCreate ? '' : CREATE_IT}`, {
    retryable: mayCreate,
    sent,
  })

export const conflict = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('TOPOLOGY_CONFLICT', text, { cause, sent: 'no' })

interface Row {
  /** Kafka's own name for it. */
  readonly name: string
  readonly code: ErrorCode
  readonly text: string
  /** Overrides the table of core. */
  readonly retryable?: boolean
  /** The broker answered, so it is certain: nothing was written. `unknown` where the answer says otherwise. */
  readonly sent?: Sent
  /** A later try may find other metadata: forget what is known of topics and coordinators. */
  readonly stale?: boolean
}

const busy = (name: string, text: string, more: Partial<Row> = {}): Row => ({
  name,
  code: 'BROKER_BUSY',
  text,
  ...more,
})
const moved = (name: string, text: string): Row => busy(name, text, { stale: true })
const lost = (name: string, text: string): Row => ({ name, code: 'LEASE_LOST', text })
const denied = (name: string, what: string): Row => ({
  name,
  code: 'ACCESS_DENIED',
  text: `the user may not use this ${what}. docs/brokers/kafka.md lists the permissions needed.`,
})
const refused = (name: string, text: string): Row => ({ name, code: 'BROKER_REFUSED', text })

/** By the number that Kafka's protocol gives it. */
const PROTOCOL: ReadonlyMap<number, Row> = new Map<number, Row>([
  [1, { name: 'OFFSET_OUT_OF_RANGE', code: 'BROKER_REFUSED', text: 'the position is no longer in the log, or not yet. `offsetOutOfRange` says where to go on; `rewind` moves a group.' }], // prettier-ignore
  [2, busy('CORRUPT_MESSAGE', 'the request came damaged.')],
  [3, { name: 'UNKNOWN_TOPIC_OR_PARTITION', code: 'TOPOLOGY_MISSING', text: 'the topic or partition does not exist.', stale: true }], // prettier-ignore
  [5, moved('LEADER_NOT_AVAILABLE', 'the partition has no leader.')],
  [6, moved('NOT_LEADER_OR_FOLLOWER', 'the partition is led by another broker now.')],
  [7, busy('REQUEST_TIMED_OUT', 'the replicas did not confirm in time.', { sent: 'unknown' })],
  [8, moved('BROKER_NOT_AVAILABLE', 'the broker is not available.')],
  [9, moved('REPLICA_NOT_AVAILABLE', 'the replica is not available.')],
  [10, { name: 'MESSAGE_TOO_LARGE', code: 'MESSAGE_TOO_LARGE', text: 'larger than the max.message.bytes of its topic. Send less, or raise it.' }], // prettier-ignore
  [12, refused('OFFSET_METADATA_TOO_LARGE', 'the metadata of a position is larger than offset.metadata.max.bytes.')],
  [13, moved('NETWORK_EXCEPTION', 'the broker lost its own connection.')],
  [14, moved('COORDINATOR_LOAD_IN_PROGRESS', 'the coordinator is loading.')],
  [15, moved('COORDINATOR_NOT_AVAILABLE', 'the coordinator is not available.')],
  [16, moved('NOT_COORDINATOR', 'the coordinator moved.')],
  [17, { name: 'INVALID_TOPIC_EXCEPTION', code: 'INVALID_OPTION', text: 'this is no legal name of a topic.' }],
  [18, { name: 'RECORD_LIST_TOO_LARGE', code: 'MESSAGE_TOO_LARGE', text: 'larger than a segment of its topic (segment.bytes).' }], // prettier-ignore
  [19, busy('NOT_ENOUGH_REPLICAS', 'too few replicas are in sync for min.insync.replicas.')],
  [20, busy('NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'written, but too few replicas are in sync.', { sent: 'unknown' })],
  [22, lost('ILLEGAL_GENERATION', 'the group has rebalanced.')],
  [23, { name: 'INCONSISTENT_GROUP_PROTOCOL', code: 'TOPOLOGY_CONFLICT', text: 'the group has members that are not Polybus. Stop them, or give this group another id (kafka().channels.<name>.groups.<group>.groupId).' }], // prettier-ignore
  [24, { name: 'INVALID_GROUP_ID', code: 'INVALID_OPTION', text: 'this is no legal id of a group.' }],
  [25, lost('UNKNOWN_MEMBER_ID', 'the member is not known to the group any more.')],
  [26, { name: 'INVALID_SESSION_TIMEOUT', code: 'INVALID_OPTION', text: 'kafka().sessionTimeoutMs is outside what the broker allows (group.min.session.timeout.ms, 6,000 by default, to group.max.session.timeout.ms).' }], // prettier-ignore
  [27, lost('REBALANCE_IN_PROGRESS', 'the group is rebalancing.')],
  [28, refused('INVALID_COMMIT_OFFSET_SIZE', 'the positions are too many for one commit.')],
  [29, denied('TOPIC_AUTHORIZATION_FAILED', 'topic')],
  [30, denied('GROUP_AUTHORIZATION_FAILED', 'group')],
  [31, denied('CLUSTER_AUTHORIZATION_FAILED', 'cluster (creating topics, or idempotent writing before Kafka 2.8)')],
  [32, refused('INVALID_TIMESTAMP', 'the timestamp is outside what the topic allows.')],
  [33, { name: 'UNSUPPORTED_SASL_MECHANISM', code: 'AUTHENTICATION_FAILED', text: 'the broker does not offer this SASL mechanism. Try another: kafka().client.sasl, or sasl= in the URL.' }], // prettier-ignore
  [34, { name: 'ILLEGAL_SASL_STATE', code: 'AUTHENTICATION_FAILED', text: 'the broker expected something else of SASL. Is this the port of a listener with SASL? Otherwise leave out user and password.' }], // prettier-ignore
  [35, { name: 'UNSUPPORTED_VERSION', code: 'UNSUPPORTED', text: 'the broker does not know this version of a request. @polybus/kafka needs Kafka 2.4 or newer.' }], // prettier-ignore
  [36, { name: 'TOPIC_ALREADY_EXISTS', code: 'TOPOLOGY_CONFLICT', text: 'the topic exists already.' }],
  [37, { name: 'INVALID_PARTITIONS', code: 'INVALID_OPTION', text: 'the number of partitions is not possible.' }],
  [38, { name: 'INVALID_REPLICATION_FACTOR', code: 'INVALID_OPTION', text: 'the replication factor is larger than the number of brokers.' }], // prettier-ignore
  [40, { name: 'INVALID_CONFIG', code: 'INVALID_OPTION', text: 'a setting of the topic is not possible.' }],
  [41, moved('NOT_CONTROLLER', 'the controller moved.')],
  [42, refused('INVALID_REQUEST', 'the request is not valid.')],
  [43, refused('UNSUPPORTED_FOR_MESSAGE_FORMAT', 'the topic holds an old message format.')],
  [44, refused('POLICY_VIOLATION', 'a policy of the broker forbids it.')],
  [45, busy('OUT_OF_ORDER_SEQUENCE_NUMBER', 'the broker expected another sequence number.')],
  [47, busy('INVALID_PRODUCER_EPOCH', 'another producer took over this producer id.')],
  [48, refused('INVALID_TXN_STATE', 'the transaction is in another state.')],
  [49, refused('INVALID_PRODUCER_ID_MAPPING', 'the transactional id belongs to another producer id by now.')],
  [50, { name: 'INVALID_TRANSACTION_TIMEOUT', code: 'INVALID_OPTION', text: 'larger than the broker allows (transaction.max.timeout.ms).' }], // prettier-ignore
  [51, busy('CONCURRENT_TRANSACTIONS', 'the former transaction is not completed yet.')],
  [53, denied('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'transactional id')],
  [56, busy('KAFKA_STORAGE_ERROR', 'the broker has trouble with its disk.', { stale: true })],
  [58, { name: 'SASL_AUTHENTICATION_FAILED', code: 'AUTHENTICATION_FAILED', text: 'check user and password.' }],
  [59, busy('UNKNOWN_PRODUCER_ID', 'the broker has forgotten this producer id.')],
  [60, busy('REASSIGNMENT_IN_PROGRESS', 'partitions are being moved.')],
  [68, { name: 'NON_EMPTY_GROUP', code: 'BROKER_REFUSED', text: 'the group has members. Stop them first.' }],
  [69, { name: 'GROUP_ID_NOT_FOUND', code: 'UNKNOWN_GROUP', text: 'there is no such group.' }],
  [72, moved('LISTENER_NOT_FOUND', 'the leader has no listener of this name.')],
  [73, { name: 'TOPIC_DELETION_DISABLED', code: 'BROKER_REFUSED', text: 'the broker does not delete topics (delete.topic.enable).' }], // prettier-ignore
  [74, moved('FENCED_LEADER_EPOCH', 'the partition is led by another broker now.')],
  [75, moved('UNKNOWN_LEADER_EPOCH', 'the broker does not know the leader yet.')],
  [76, { name: 'UNSUPPORTED_COMPRESSION_TYPE', code: 'UNSUPPORTED', text: 'the topic does not take this compression. Choose another: kafka().compression.' }], // prettier-ignore
  [78, moved('OFFSET_NOT_AVAILABLE', 'the new leader does not know the end yet.')],
  [81, lost('GROUP_MAX_SIZE_REACHED', 'the group has as many members as the broker allows (group.max.size).')],
  [82, lost('FENCED_INSTANCE_ID', 'another member took this instance id.')],
  [87, refused('INVALID_RECORD', 'the broker does not take this record: a compacted topic, for one, needs keys.')],
  [88, busy('UNSTABLE_OFFSET_COMMIT', 'a transaction over these positions is not completed yet.')],
  [89, busy('THROTTLING_QUOTA_EXCEEDED', 'the quota is used up.')],
  [90, { name: 'PRODUCER_FENCED', code: 'LEASE_LOST', text: 'another producer has this transactional id now.' }],
])
const BY_NAME: ReadonlyMap<string, Row> = new Map([...PROTOCOL.values()].map((row) => [row.name, row]))
/** Where kafkajs has other names than Kafka. */
const ALIASES: Readonly<Record<string, string>> = {
  NOT_LEADER_FOR_PARTITION: 'NOT_LEADER_OR_FOLLOWER',
  GROUP_LOAD_IN_PROGRESS: 'COORDINATOR_LOAD_IN_PROGRESS',
  GROUP_COORDINATOR_NOT_AVAILABLE: 'COORDINATOR_NOT_AVAILABLE',
  NOT_COORDINATOR_FOR_GROUP: 'NOT_COORDINATOR',
}

/** Kafka's own name of what the broker answered, where an error of ours comes from such an answer. */
export function kafkaName(error: unknown): string | undefined {
  const { type } = root(error instanceof Error ? error.cause : undefined)
  return typeof type === 'string' ? (ALIASES[type] ?? type) : undefined
}

/** Whether another broker may have the answer. */
export const isStale = (error: unknown): boolean => BY_NAME.get(kafkaName(error) ?? '')?.stale === true

const of = (row: Row, about: string, cause: unknown): PolybusError =>
  new PolybusError(row.code, `Kafka refused${about}: ${row.text} (${row.name})`, {
    cause,
    sent: row.sent ?? 'no',
    retryable: row.retryable,
  })

/** What the broker answered, by its number. 0 is no error. */
export function answered(code: number, about = ''): PolybusError | undefined {
  if (code === 0) return undefined
  const row = PROTOCOL.get(code) ?? refused(`error ${code}`, 'an answer that @polybus/kafka does not know.')
  const cause = Object.assign(new Error(row.text), { name: 'KafkaError', type: row.name, code })
  return of(row, about === '' ? '' : ` ${about}`, cause)
}

interface Foreign {
  readonly name?: unknown
  readonly type?: unknown
  readonly code?: unknown
  readonly message?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
}

/** The first of what stands behind it that says something by itself. */
function root(error: unknown): Foreign {
  let at = (typeof error === 'object' && error !== null ? error : { message: String(error) }) as Foreign
  for (let depth = 0; depth < 5; depth++) {
    const { name, type, cause, errors } = at
    const inner = Array.isArray(errors) ? (errors[0] as unknown) : cause
    if (typeof type === 'string' || typeof inner !== 'object' || inner === null) break
    if (name !== 'KafkaJSNumberOfRetriesExceeded' && name !== 'KafkaJSNonRetriableError' && !Array.isArray(errors))
      break
    at = inner
  }
  return at
}

/**
 * What a library rejected with, as ours.
 *
 * @param sent What holds where the connection failed; an answer of the broker is certain by itself.
 * @param about What was asked, for people: "to write to 'orders'".
 */
export function kafkaError(error: unknown, sent: Sent = 'unknown', about = ''): PolybusError {
  if (PolybusError.is(error)) return error
  const { name, type, message, code } = root(error)
  const text = typeof message === 'string' ? message : String(error)
  const row = typeof type === 'string' ? BY_NAME.get(ALIASES[type] ?? type) : undefined
  const where = about === '' ? '' : ` ${about}`
  if (row) return of(row, where, error)
  if (typeof type === 'string') return of(refused(type, text), where, error)
  switch (name) {
    case 'KafkaJSSASLAuthenticationError':
      return new PolybusError(
        'AUTHENTICATION_FAILED',
        `Kafka refused the login. Check user, password and mechanism. ${text}`,
        { cause: error, sent: 'no' },
      )
    case 'KafkaJSServerDoesNotSupportApiKey':
      return of(BY_NAME.get('UNSUPPORTED_VERSION') as Row, where, error)
    case 'KafkaJSNotImplemented':
      return new PolybusError('UNSUPPORTED', text, { cause: error, sent: 'no' })
    case 'KafkaJSConnectionError':
    case 'KafkaJSConnectionClosedError':
    case 'KafkaJSRequestTimeoutError':
    case 'KafkaJSBrokerNotFound':
    case 'KafkaJSLockTimeout':
    case 'KafkaJSTimeout':
      return connectionFailed(text, sent, error)
    default:
      break
  }
  // Anything else is a fault in the library or in how it is used; that the broker has nothing cannot be known.
  if (typeof code === 'string') return connectionFailed(`${code} ${text}`, sent, error)
  return new PolybusError('BROKER_REFUSED', `The Kafka client failed${where}: ${text}`, { cause: error, sent })
}

/** A name that does not resolve is wrong, not late (EAI_AGAIN is the resolver's own trouble), and so is a certificate. */
const HOPELESS = /ENOTFOUND|CERT|SELF.SIGNED|ERR_TLS|ERR_SSL|wrong version number|altnames/i

/** Why the first connection could not be made: what can only be a wrong setting is not tried again. */
export function connectError(error: unknown, first: boolean): PolybusError {
  const made = kafkaError(error, 'no')
  const { code, message } = root(error)
  if (!first || made.code !== 'CONNECTION_FAILED') return made
  if (/before secure TLS/.test(String(message)))
    return new PolybusError(
      'CONNECTION_FAILED',
      `${made.message}. Check whether this listener is one for TLS (ssl=true).`,
      {
        cause: error,
        sent: 'no',
      },
    )
  if (!HOPELESS.test(`${String(code)} ${String(message)}`)) return made
  return new PolybusError(
    'CONNECTION_FAILED',
    `Kafka cannot be reached, and trying again will not help: ${String(message)}. Check the hosts of the URL, and whether this listener is one for TLS (ssl=true).`,
    { cause: error, retryable: false, sent: 'no' },
  )
}
