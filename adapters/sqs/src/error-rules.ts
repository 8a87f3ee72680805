// One table: what SQS calls an error, and what it is to Polybus.
import type { ErrorCode } from '@polybus/core'

/** What the one who asked knows beside the error. */
export interface Situation {
  /** What was asked for, such as `queue 'orders--email'`. */
  readonly what?: string | undefined
  /** Nothing has worked yet: what can only be a wrong setting is not tried again. Default false. */
  readonly first?: boolean | undefined
  /** The credentials are values that nobody renews. Default false. */
  readonly fixed?: boolean | undefined
}

export type Kind =
  | 'credentials'
  | 'expired'
  | 'clock'
  | 'denied'
  | 'key'
  | 'missing'
  | 'deleted'
  | 'conflict'
  | 'type'
  | 'throttled'
  | 'full'
  | 'lost'
  | 'large'
  | 'unsupported'
  | 'broken'
  | 'refused'

export interface Rule {
  /** Without `AWS.SimpleQueueService.` before and `Exception` behind: the JSON protocol, the query protocol and entries of batches spell one error differently. */
  readonly names: readonly string[]
  readonly code: ErrorCode
  /** Default: as the table of core says. */
  readonly retryable?: boolean | ((situation: Situation) => boolean)
  /** What was done before it broke nobody knows: `sent` is as the caller says. Else the answer is certain. */
  readonly uncertain?: true
  readonly text: (said: string, situation: Situation) => string
}

export const renews = ({ first, fixed }: Situation): boolean => first !== true && fixed !== true
const the = ({ what }: Situation): string => (what === undefined ? 'The queue' : `The ${what}`)

export const RULES: Readonly<Record<Kind, Rule>> = {
  credentials: {
    names: [
      'UnrecognizedClient',
      'InvalidClientTokenId',
      'InvalidAccessKeyId',
      'SignatureDoesNotMatch',
      'InvalidSignature',
      'IncompleteSignature',
      'MissingAuthenticationToken',
      'AuthFailure',
      'InvalidSecurity',
    ],
    code: 'AUTHENTICATION_FAILED',
    // What AWS says itself may hold what was signed, a session token with it.
    text: () =>
      'AWS does not know these credentials, or the secret key is wrong. Look at what the SDK finds first: sqs().client.credentials, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile, the role.',
  },
  expired: {
    names: ['ExpiredToken', 'TokenRefreshRequired'],
    code: 'AUTHENTICATION_FAILED',
    retryable: renews,
    text: (_, { fixed }) =>
      `The session token of these credentials has expired. ${fixed ? 'They are fixed values: give new ones, or a provider that renews them.' : 'Log in again (aws sso login), or use credentials that renew themselves: a role, a profile, a provider in sqs().client.credentials.'}`,
  },
  clock: {
    names: ['RequestExpired', 'RequestTimeTooSkewed', 'RequestInTheFuture'],
    code: 'AUTHENTICATION_FAILED',
    // The SDK corrects its clock by this very answer.
    retryable: true,
    text: () =>
      "AWS finds the request too old or too new: this machine's clock is wrong by more than 5 minutes. Set it.",
  },
  denied: {
    names: ['AccessDenied', 'NotAuthorized', 'OptInRequired'],
    code: 'ACCESS_DENIED',
    text: (said) => `AWS refused: ${said} docs/brokers/sqs.md lists the permissions needed.`,
  },
  key: {
    names: [
      'KmsAccessDenied',
      'KmsDisabled',
      'KmsInvalidKeyUsage',
      'KmsInvalidState',
      'KmsNotFound',
      'KmsOptInRequired',
    ],
    code: 'ACCESS_DENIED',
    text: (said, situation) =>
      `${the(situation)} is encrypted by a KMS key that cannot be used: ${said} Sending needs kms:GenerateDataKey and kms:Decrypt, receiving kms:Decrypt.`,
  },
  missing: {
    names: ['QueueDoesNotExist', 'NonExistentQueue', 'InvalidAddress'],
    code: 'TOPOLOGY_MISSING',
    retryable: true,
    text: (_, { what = 'such queue' }) => `SQS has no ${what} in this account and region.`,
  },
  deleted: {
    names: ['QueueDeletedRecently'],
    code: 'BROKER_BUSY',
    text: (_, situation) =>
      `${the(situation)} was deleted less than 60 seconds ago, and AWS makes none of its name before that time is over.`,
  },
  conflict: {
    names: ['QueueNameExists', 'QueueAlreadyExists'],
    code: 'TOPOLOGY_CONFLICT',
    text: (said, situation) => `${the(situation)} is there with other attributes: ${said}`,
  },
  type: {
    names: [],
    code: 'TOPOLOGY_CONFLICT',
    text: (said, situation) =>
      `${the(situation)} is of the wrong type: keyed channels need a FIFO queue, others a standard one. SQS says: ${said}`,
  },
  throttled: {
    names: [
      'RequestThrottled',
      'Throttling',
      'Throttled',
      'RequestLimitExceeded',
      'TooManyRequests',
      'SlowDown',
      'KmsThrottled',
      'KmsThrottling',
    ],
    code: 'BROKER_BUSY',
    text: (said) => `AWS throttles: ${said}`,
  },
  full: {
    names: ['OverLimit'],
    code: 'BROKER_BUSY',
    text: (said, situation) => `${the(situation)} has as many messages in flight as AWS allows: ${said}`,
  },
  lost: {
    names: ['ReceiptHandleIsInvalid', 'MessageNotInflight'],
    code: 'LEASE_LOST',
    text: (_, { what }) =>
      `A delivery${what === undefined ? '' : ` of the ${what}`} is no longer ours: its visibility timeout is over, or it was deleted.`,
  },
  large: {
    names: ['BatchRequestTooLong'],
    code: 'MESSAGE_TOO_LARGE',
    text: (said) =>
      `SQS finds it too large: ${said} Publish a reference to the data, or raise the queue's MaximumMessageSize; where that is less than sqs().maxMessageBytes, set it to that.`,
  },
  unsupported: {
    names: ['UnsupportedOperation', 'InvalidAction', 'UnknownOperation'],
    code: 'UNSUPPORTED',
    text: (said) => `This server cannot do what is asked: ${said}`,
  },
  broken: {
    names: ['InternalError', 'InternalFailure', 'InternalServerError', 'ServiceUnavailable'],
    code: 'BROKER_BUSY',
    uncertain: true,
    text: (said) => `SQS cannot answer now: ${said}`,
  },
  refused: {
    names: ['InvalidMessageContents'],
    code: 'BROKER_REFUSED',
    text: (said) => `SQS refused: ${said}`,
  },
}

const BY_NAME: ReadonlyMap<string, Kind> = new Map(
  (Object.keys(RULES) as Kind[]).flatMap((kind) => RULES[kind].names.map((name): [string, Kind] => [name, kind])),
)

/** What a parameter or a signature was refused for: these share their names. */
const BY_TEXT: readonly (readonly [RegExp, Kind])[] = [
  [/signature (has )?expired|signature not yet current/i, 'clock'],
  [/not valid for this queue type|parameter Message(GroupId|DeduplicationId)\b/i, 'type'],
  [/receipt ?handle/i, 'lost'],
  [/must be shorter than|MessageTooLong|exceeds? the maximum|size limit/i, 'large'],
]
const SHARED =
  /^(InvalidParameter|MissingParameter|InvalidAttributeValue|Validation|InvalidSignature|SignatureDoesNotMatch)/

/** Undefined: it has no rule. */
export function kindOf(given: string, said: string): Kind | undefined {
  const name = given
    .replace(/^.*#/, '')
    .replace(/^AWS\.SimpleQueueService\./, '')
    .replace(/^KMS\./, 'Kms')
  if (SHARED.test(name)) for (const [pattern, kind] of BY_TEXT) if (pattern.test(said)) return kind
  return BY_NAME.get(name) ?? BY_NAME.get(name.replace(/(Exception|Error)$/, ''))
}
