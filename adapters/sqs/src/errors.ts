// What the SDK and SQS say, as ours: by the table in error-rules.ts, and by a few rules for what has no name of its own.
import type { BatchResultErrorEntry } from '@aws-sdk/client-sqs'
import { PolybusError, redact } from '@polybus/core'
import { kindOf, type Kind, renews, RULES, type Situation } from './error-rules.ts'

export type { Situation } from './error-rules.ts'

/** `unknown` once bytes may have left. */
export type Sent = 'no' | 'unknown'

/** Nobody answers. */
export const connectionFailed = (text: string, sent?: Sent, cause?: unknown): PolybusError =>
  new PolybusError('CONNECTION_FAILED', `SQS cannot be reached, or the connection was lost: ${text}`, { sent, cause })

export const aborted = (sent?: Sent): PolybusError => new PolybusError('ABORTED', undefined, { sent })

export const closed = (): PolybusError => new PolybusError('CLOSED', 'This SQS adapter is closed.', { sent: 'no' })

export const leaseLost = (position: string, cause?: unknown): PolybusError =>
  new PolybusError(
    'LEASE_LOST',
    `The delivery of ${position} is no longer ours: its visibility timeout is over, or it was deleted.`,
    { cause },
  )

export const feedBroken = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('FEED_BROKEN', text, { cause })

/** `retryable`: whoever asks may create it and try again. */
export const missing = (what: string, mayCreate: boolean, cause?: unknown): PolybusError =>
  new PolybusError(
    'TOPOLOGY_MISSING',
    `SQS has no ${what} in this account and region.${mayCreate ? '' : ' Create it, or look at region, account and queueUrl.'}`,
    { retryable: mayCreate, sent: 'no', cause },
  )

export const conflict = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('TOPOLOGY_CONFLICT', text, { cause, sent: 'no' })

export const unsupported = (text: string): PolybusError => new PolybusError('UNSUPPORTED', text, { sent: 'no' })

function errorOf(kind: Kind, said: string, situation: Situation, sent: Sent, cause?: unknown): PolybusError {
  const { code, text, retryable, uncertain } = RULES[kind]
  return new PolybusError(code, text(sentence(said), situation), {
    cause,
    sent: uncertain ? sent : 'no',
    retryable: typeof retryable === 'function' ? retryable(situation) : retryable,
  })
}
const sentence = (said: string): string =>
  /[.!?]$/.test(said) ? redact(said) : `${redact(said) || 'no reason given'}.`

/** A name that does not resolve is wrong, not late (EAI_AGAIN is the resolver's own trouble), and so is a certificate. */
const HOPELESS = /ENOTFOUND|CERT|SELF_SIGNED|ERR_TLS|ERR_SSL|EPROTO/
/** No connection came about: nothing was sent. */
const UNCONNECTED = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|did not establish a connection/

interface Thrown {
  readonly name?: unknown
  readonly message?: unknown
  /** Of the socket (ECONNRESET, …). */
  readonly code?: unknown
  /** Of the query protocol, where the answer names it too. */
  readonly Code?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number | undefined } | undefined
}
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/**
 * What a call of the SDK rejected with, as ours. `sent` is what holds where no answer came, or one of 500 and more: what was
 * done before it broke nobody knows. Every other answer is certain.
 */
export function failed(error: unknown, sent: Sent = 'unknown', situation: Situation = {}): PolybusError {
  if (PolybusError.is(error)) return error
  const thrown: Thrown = typeof error === 'object' && error !== null ? error : { message: String(error) }
  const name = textOf(thrown.name)
  const said = textOf(thrown.message)
  const status = thrown.$metadata?.httpStatusCode
  if (name === 'AbortError') return aborted(sent)
  if (/^(CredentialsProvider|TokenProvider|Provider)Error$/.test(name)) return noCredentials(error, said, situation)
  if (said === 'Region is missing')
    return new PolybusError(
      'INVALID_OPTION',
      "sqs().region: is missing. Give it here, as sqs://eu-west-1, in AWS_REGION, or in the SDK's own profile.",
      { cause: error, sent: 'no' },
    )
  const kind = kindOf(name, said) ?? kindOf(textOf(thrown.Code), said)
  if (kind !== undefined) return errorOf(kind, said, situation, sent, error)
  // The SDK throws a SyntaxError where an answer is not JSON.
  if (status !== undefined && status >= 500) return errorOf('broken', `it answered ${status}`, situation, sent, error)
  if (name === 'SyntaxError') return foreign(error, status, sent, situation)
  if (status === 429) return errorOf('throttled', said, situation, sent, error)
  if (status === 413) return errorOf('large', said, situation, sent, error)
  if (status === 401 || status === 403) return errorOf('denied', said || name, situation, sent, error)
  if (status !== undefined && status >= 400)
    return errorOf('refused', said === '' ? name : `${name}: ${said}`, situation, sent, error)
  return unreachable(error, thrown, sent, situation)
}

/** An entry of `Failed` in an answer of 200, as ours; the other entries stand. */
export function entryFailed(
  { Code = '', Message = '', SenderFault }: BatchResultErrorEntry,
  situation: Situation = {},
): PolybusError {
  const kind = kindOf(Code, Message) ?? (SenderFault === false ? 'broken' : 'refused')
  return errorOf(kind, Message === '' ? Code : `${Code}: ${Message}`, situation, 'unknown')
}

/** A proxy, a portal, another program at this address. */
function foreign(error: unknown, status: number | undefined, sent: Sent, { first }: Situation): PolybusError {
  const text = `SQS cannot be reached: what answers ${status === undefined ? '' : `(${status}) `}does not speak its JSON protocol. Look at the address.`
  return new PolybusError('CONNECTION_FAILED', text, { cause: error, sent, retryable: first !== true })
}

/** A metadata service that is away for a moment is no reason to give up what has worked. */
const noCredentials = (error: unknown, said: string, situation: Situation): PolybusError =>
  new PolybusError(
    'AUTHENTICATION_FAILED',
    `The SDK finds no AWS credentials: ${sentence(said)} Give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role, or sqs().client.credentials.`,
    { cause: error, sent: 'no', retryable: renews(situation) },
  )

function unreachable(error: unknown, thrown: Thrown, sent: Sent, { first }: Situation): PolybusError {
  const code = textOf(thrown.code)
  const said = textOf(thrown.message) || code || textOf(thrown.name) || 'no reason given'
  if (first && HOPELESS.test(code))
    return new PolybusError('CONNECTION_FAILED', `SQS cannot be reached, and trying again will not help: ${said}`, {
      cause: error,
      retryable: false,
      sent: 'no',
    })
  return connectionFailed(said, UNCONNECTED.test(`${code} ${said}`) ? 'no' : sent, error)
}
