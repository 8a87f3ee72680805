import { PolybusError } from '@polybus/core'

type Sent = 'no' | 'unknown'

/** Nobody answers. `sent: 'unknown'` where bytes have left. */
export const connectionFailed = (text: string, sent?: Sent, cause?: unknown): PolybusError =>
  new PolybusError('CONNECTION_FAILED', `RabbitMQ cannot be reached, or the connection was lost: ${text}`, {
    sent,
    cause,
  })

export const aborted = (sent?: Sent): PolybusError => new PolybusError('ABORTED', undefined, { sent })

export const closed = (): PolybusError => new PolybusError('CLOSED', 'This RabbitMQ adapter is closed.', { sent: 'no' })

export const leaseLost = (position: string): PolybusError =>
  new PolybusError('LEASE_LOST', `The delivery of ${position} is no longer ours: its channel is closed.`)

export const feedBroken = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('FEED_BROKEN', text, { cause })

/** `retryable`: whoever asks may create it and try again. */
export const missing = (what: string, mayCreate: boolean, sent: Sent = 'no'): PolybusError =>
  new PolybusError('TOPOLOGY_MISSING', `RabbitMQ has no ${what}.`, { retryable: mayCreate, sent })

export const conflict = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('TOPOLOGY_CONFLICT', text, { cause, sent: 'no' })

export const alarm = (reason: string): PolybusError =>
  new PolybusError(
    'BROKER_BUSY',
    `RabbitMQ takes no messages now: ${reason} (a memory or disk alarm). Consume, or give it more.`,
    { sent: 'no' },
  )

export const tooOld = (version: string): PolybusError =>
  new PolybusError(
    'UNSUPPORTED',
    `This server is RabbitMQ ${version}; @polybus/rabbitmq needs 3.10 or newer. Update the server.`,
  )

/** The reply code of a channel or connection that the server closed. */
export function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'number' ? code : undefined
}
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A permission is missing. Which one follows from what was asked; newer servers say so too. */
export function denied(error: unknown, sent: Sent = 'no'): PolybusError {
  const text = textOf(error)
  const [, what, name] = /access to (queue|exchange|topic) '([^']*)'/.exec(text) ?? []
  const said = /\b(configure|write|read) access/.exec(text)?.[1]
  const permission = said ?? permissionFor(error as { classId?: unknown; methodId?: unknown }, what)
  const help =
    permission === undefined || name === undefined
      ? ''
      : ` Give the user the permission to ${permission} '${name}' (rabbitmqctl set_permissions).`
  return new PolybusError(
    'ACCESS_DENIED',
    `RabbitMQ refused: ${text}.${help} docs/brokers/rabbitmq.md lists the permissions needed.`,
    { cause: error, sent },
  )
}

/** By AMQP's numbers of class and method. */
function permissionFor(
  { classId, methodId }: { classId?: unknown; methodId?: unknown },
  what = '',
): string | undefined {
  switch (`${String(classId)}.${String(methodId)}`) {
    // exchange.declare, exchange.delete, queue.delete
    case '40.10':
    case '40.20':
    case '50.40':
      return 'configure'
    // queue.declare: the exchange is that of its dead letters, and who has them dead-lettered must be able to read the queue
    case '50.10':
      return what === 'exchange' ? 'write' : 'configure and read'
    // queue.bind, queue.unbind
    case '50.20':
    case '50.50':
      return what === 'exchange' ? 'read' : 'write'
    // basic.publish
    case '60.40':
      return 'write'
    // basic.consume, basic.get
    case '60.20':
    case '60.70':
      return 'read'
    default:
      return undefined
  }
}

/** What amqplib rejected with, as ours. `sent` is what holds where the connection failed. */
export function rabbitError(error: unknown, sent: Sent = 'unknown'): PolybusError {
  if (PolybusError.is(error)) return error
  const text = textOf(error)
  switch (codeOf(error)) {
    case 404:
      return missing(/no (queue|exchange) '[^']*'/.exec(text)?.[0].slice(3) ?? 'such queue or exchange', true, sent)
    case 406:
      return conflict(readable(text), error)
    case 403:
      return denied(error)
    case 405:
      return new PolybusError(
        'TOPOLOGY_CONFLICT',
        `RabbitMQ refused: ${text}. Another connection has the queue for itself (exclusive): end that, or take another name.`,
        { cause: error, sent: 'no' },
      )
    case 311:
    case 501:
    case 502:
    case 540:
      return new PolybusError('BROKER_REFUSED', `RabbitMQ refused: ${text}`, { cause: error, sent })
    default:
      return connectionFailed(text, sent, error)
  }
}

/** The part of a 406 that people need: which argument differs, and how. */
export function readable(text: string): string {
  const found =
    /inequivalent arg '([^']*)' for (\w+) '([^']*)' in vhost '[^']*': received (.*?) but current is (.*?)"?$/.exec(text)
  if (!found) return `RabbitMQ has something else under this name: ${text}`
  const [, argument, kind, name, wanted, has] = found
  return `the ${kind} '${name}' has ${argument} ${plain(has)}, not ${plain(wanted)}`
}
const plain = (value = ''): string =>
  value.startsWith('none') ? 'unset' : value.replace(/^the value /, '').replace(/ of type '\w+'$/, '')

/** Why the connection could not be made: what can only be a wrong setting is not tried again. */
export function connectError(error: unknown, first: boolean): PolybusError {
  if (PolybusError.is(error)) return error
  const text = textOf(error)
  if (/ACCESS.?REFUSED|\b403\b/i.test(text))
    return new PolybusError('AUTHENTICATION_FAILED', 'RabbitMQ refused the credentials. Check user and password.', {
      sent: 'no',
    })
  // amqplib does not say why the server closed: at the first connection it is the virtual host, later the server may be starting.
  if (/NOT.?ALLOWED|\b530\b/i.test(text) || (first && /got <ConnectionClose/.test(text)))
    return new PolybusError(
      'ACCESS_DENIED',
      'RabbitMQ refused the virtual host: it does not exist, or the user may not use it. Check the path of the URL (add_vhost, set_permissions).',
      { sent: 'no' },
    )
  if (/exceeds maxFrameSize|Invalid frame|Unexpected frame|Expected ConnectionStart/i.test(text))
    return connectionFailed(`what answers does not speak AMQP: is this the right port? (${text})`, 'no', error)
  if (/SSL routines|wrong version number/i.test(text))
    return connectionFailed('TLS cannot be agreed on: is this the port of a TLS listener (5671)?', 'no', error)
  if (first && /ENOTFOUND/.test(text))
    return new PolybusError('CONNECTION_FAILED', `The host of the RabbitMQ URL is not known: ${text}`, {
      cause: error,
      retryable: false,
      sent: 'no',
    })
  return connectionFailed(text, 'no', error)
}
