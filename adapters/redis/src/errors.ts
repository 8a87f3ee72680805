import { type ErrorCode, PolybusError } from '@polybus/core'

type Sent = 'no' | 'unknown'

/** Nobody answers. `sent: 'unknown'` where bytes have left. */
export const connectionFailed = (text: string, sent?: Sent, cause?: unknown): PolybusError =>
  new PolybusError('CONNECTION_FAILED', `Redis cannot be reached, or the connection was lost: ${text}`, { sent, cause })

export const aborted = (sent?: Sent): PolybusError => new PolybusError('ABORTED', undefined, { sent })

export const closed = (): PolybusError => new PolybusError('CLOSED', 'This Redis adapter is closed.', { sent: 'no' })

export const leaseLost = (position: string): PolybusError =>
  new PolybusError('LEASE_LOST', `The delivery of ${position} is no longer ours: its lease ran out or its lane moved.`)

export const feedBroken = (text: string): PolybusError => new PolybusError('FEED_BROKEN', text)

export const notAttempted = (): PolybusError => new PolybusError('NOT_ATTEMPTED', undefined, { sent: 'no' })

/** `retryable`: whoever asks may create it and try again. */
export const missing = (what: string, mayCreate: boolean): PolybusError =>
  new PolybusError('TOPOLOGY_MISSING', `Redis has no ${what}.`, { retryable: mayCreate, sent: 'no' })

export const tooOld = (version: string): PolybusError =>
  new PolybusError(
    'UNSUPPORTED',
    `This server is Redis ${version}; @polybus/redis needs 6.2 or newer. Update the server.`,
  )

/** The socket is gone, or ioredis found it so: nothing else says it by a code. */
const CLOSED = /connection is closed|stream isn't writeable|socket closed|ECONNRESET|EPIPE/i
/** A name that does not resolve is wrong, not late (EAI_AGAIN is the resolver's own trouble), and so is a certificate. */
const HOPELESS = /ENOTFOUND|CERT|SELF_SIGNED|ERR_TLS|ERR_SSL/

/** Redis 6.2 puts what a script's command was answered behind where it stands in the script. */
const IN_SCRIPT = /^ERR Error running script \(call to [^)]*\): (?:@user_script: ?\d+: )+-?/
/** Within a script a missing permission has no code of its own. */
const DENIED = /user executing the script can't|ACL failure in script/

/**
 * What ioredis rejected with, as ours. `keys` are those of the command, for people; `sent` is what holds where the
 * connection failed: an answer of the server is always certain.
 */
export function redisError(error: unknown, keys: readonly string[] = [], sent: Sent = 'unknown'): PolybusError {
  if (PolybusError.is(error)) return error
  const text = (error instanceof Error ? error.message : String(error)).replace(IN_SCRIPT, '')
  strip(error)
  if (/Unknown RESP type|Protocol error, got/.test(text))
    return connectionFailed('what answers does not speak the protocol of Redis: is this the right port?', 'no', error)
  if (CLOSED.test(text)) return connectionFailed(text, sent, error)
  if (/max number of clients/.test(text)) return connectionFailed('it has as many clients as it takes', 'no', error)
  const refused = (code: ErrorCode, said: string, retryable?: boolean): PolybusError =>
    new PolybusError(code, said, { cause: error, sent: 'no', retryable })
  const word = DENIED.test(text) ? 'NOPERM' : (/^[A-Z]+/.exec(text)?.[0] ?? '')
  switch (word) {
    case 'WRONGPASS':
    case 'NOAUTH':
      return refused('AUTHENTICATION_FAILED', `Redis refused the credentials (${word}). Check user and password.`)
    case 'NOPERM':
      return refused('ACCESS_DENIED', `Redis refused: ${text}. docs/brokers/redis.md lists the permissions needed.`)
    case 'WRONGTYPE':
      return refused(
        'TOPOLOGY_CONFLICT',
        `A key has another type than Polybus needs: ${named(keys)}. Look with TYPE, and rename or delete it.`,
      )
    case 'NOGROUP':
      return refused('TOPOLOGY_MISSING', `The stream or its consumer group is gone: ${named(keys)}.`, true)
    case 'READONLY':
    case 'MASTERDOWN':
      return connectionFailed('this server is a replica now', 'no', error)
    case 'OOM':
      return refused(
        'BROKER_BUSY',
        'Redis is at its maxmemory. Give it more, or lower retentionMs and consume: what is finished is kept for so long.',
      )
    case 'MISCONF':
    case 'NOREPLICAS':
    case 'LOADING':
    case 'BUSY':
    case 'TRYAGAIN':
    case 'CLUSTERDOWN':
    case 'NOSCRIPT':
    case 'EXECABORT':
      return refused('BROKER_BUSY', `Redis takes no commands now: ${text}`)
    case 'CROSSSLOT':
    case 'MOVED':
      return refused('UNSUPPORTED', 'This server is part of a cluster, which @polybus/redis does not support.')
    default:
      break
  }
  if (/DB index is out of range/i.test(text))
    return refused('BROKER_REFUSED', 'Redis has no database of this number. Check the path of the URL, or db.', false)
  if (/no such key/i.test(text)) return refused('TOPOLOGY_MISSING', `A key is gone: ${named(keys)}.`, true)
  if (/AUTH.*(failed|without any password)/i.test(text))
    return refused('AUTHENTICATION_FAILED', 'Redis refused the credentials. Check user and password.')
  // The server's own answers are ReplyErrors; whatever else fails, fails on the way there.
  const answered = (error as { name?: unknown } | null)?.name === 'ReplyError' || error instanceof TypeError
  return answered ? refused('BROKER_REFUSED', `Redis refused: ${text}`) : connectionFailed(text, sent, error)
}

/** ioredis hangs the command on its errors: passwords and bodies, for every logger that shows causes. */
function strip(error: unknown): void {
  if (typeof error !== 'object' || error === null) return
  Reflect.deleteProperty(error, 'command')
  const { previousErrors } = error as { previousErrors?: unknown }
  if (Array.isArray(previousErrors)) for (const one of previousErrors) strip(one)
}

/**
 * Why the first connection could not be made: what can only be a wrong setting is not tried again. `sentinels` is what ioredis
 * said of those that it asked.
 */
export function connectError(error: unknown, first: boolean, sentinels: readonly string[] = []): PolybusError {
  const text = error instanceof Error ? error.message : String(error)
  if (text.startsWith('All sentinels are unreachable')) return noMaster(sentinels, first)
  const code = (error as { code?: unknown } | null)?.code
  if (first && typeof code === 'string' && HOPELESS.test(code))
    return new PolybusError('CONNECTION_FAILED', `Redis cannot be reached, and trying again will not help: ${text}`, {
      cause: error,
      retryable: false,
      sent: 'no',
    })
  return redisError(error, [], 'no')
}

function noMaster(said: readonly string[], first: boolean): PolybusError {
  const refused = said.find((text) => /NOAUTH|WRONGPASS|NOPERM/.test(text))
  if (refused !== undefined)
    return new PolybusError(
      'AUTHENTICATION_FAILED',
      `A sentinel refused: ${refused}. Check sentinelUsername and sentinelPassword of redis().connection.`,
      { sent: 'no' },
    )
  if (said.length > 0 && said.every((text) => /an invalid reply|No such master/.test(text)))
    return new PolybusError(
      'CONNECTION_FAILED',
      'The sentinels know no master of this name. Check name and sentinels of redis().connection.',
      { sent: 'no', retryable: !first },
    )
  return connectionFailed(`no sentinel tells where the master is: ${[...new Set(said)].join('; ')}`, 'no')
}

const named = (keys: readonly string[]): string => {
  const some = keys.slice(0, 3).map((key) => `'${key}'`)
  return some.length === 0 ? 'a key' : `${some.join(', ')}${keys.length > 3 ? `, or another of ${keys.length}` : ''}`
}
