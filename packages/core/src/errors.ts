// One table of every error that Polybus raises; docs/errors.md lists the same codes, and a test keeps them equal.

/** `retryable`: the same call may succeed later without anything being changed. */
export const ERRORS = {
  ABORTED: { retryable: false, text: 'The call was aborted by its signal.' },
  ACCESS_DENIED: { retryable: false, text: 'The broker refused the operation: the user lacks a permission.' },
  ADAPTER_BROKEN: { retryable: false, text: 'The adapter is installed but cannot be loaded.' },
  ADAPTER_MISSING: { retryable: false, text: 'The adapter for this broker URL is not installed.' },
  AUTHENTICATION_FAILED: { retryable: false, text: 'The broker refused the credentials.' },
  BROKER_REFUSED: { retryable: false, text: 'The broker refused the message.' },
  BROKER_BUSY: { retryable: true, text: 'The broker is throttling or overloaded.' },
  BUFFER_FULL: { retryable: true, text: 'The publish buffer is full.' },
  CLOSED: { retryable: false, text: 'The bus is closed.' },
  CONNECTION_FAILED: { retryable: true, text: 'The broker cannot be reached, or the connection was lost.' },
  CONNECT_TIMEOUT: { retryable: true, text: 'The broker did not answer within connectTimeout.' },
  DEAD_LETTER_NOT_FOUND: { retryable: false, text: 'No dead letter has this id.' },
  DECODE_FAILED: { retryable: false, text: 'The body cannot be decoded, or the schema refuses it.' },
  DROPPED: { retryable: false, text: 'The publish was dropped from the full buffer (whenFull: drop-oldest).' },
  DUPLICATE_CONSUMER: { retryable: false, text: 'This bus already runs a consumer for the channel and group.' },
  FEED_BROKEN: { retryable: true, text: 'The subscription broke and is made anew.' },
  HANDLER_TIMEOUT: { retryable: true, text: 'The handler did not finish within its timeout.' },
  HAZARD: { retryable: false, text: 'The server is configured in a way that can lose messages (durability: strict).' },
  INCOMPATIBLE_ADAPTER: { retryable: false, text: 'The adapter was written for another version of the seam.' },
  INVALID_MESSAGE: { retryable: false, text: 'The value does not match the channel.' },
  INVALID_OPTION: { retryable: false, text: 'An option is wrong.' },
  LEASE_LOST: { retryable: false, text: 'The delivery is no longer ours: its lease ran out or its lane moved.' },
  MESSAGE_TOO_LARGE: { retryable: false, text: 'The message is larger than the channel allows.' },
  NOT_ATTEMPTED: { retryable: true, text: 'Not sent, because an earlier message of the same key failed.' },
  PUBLISH_TIMEOUT: { retryable: true, text: 'The message was not sent before its deadline.' },
  PUBLISH_UNCERTAIN: { retryable: true, text: 'The broker did not say whether it has the message.' },
  REGISTRY_UNAVAILABLE: { retryable: true, text: 'The schema registry cannot be reached.' },
  SCHEMA_INCOMPATIBLE: { retryable: false, text: 'The schema is not compatible with those that are registered.' },
  SCHEMA_INVALID: { retryable: false, text: 'The schema cannot be used.' },
  SCHEMA_NOT_REGISTERED: { retryable: false, text: 'The schema registry has no such schema.' },
  SCHEMA_NOT_REVERSIBLE: { retryable: false, text: 'What the codec writes is not what the schema reads back.' },
  STALLED: { retryable: true, text: 'The subscription received nothing although there is a backlog.' },
  STORE_UNAVAILABLE: { retryable: true, text: 'The idempotency store cannot be reached.' },
  TOPOLOGY_CONFLICT: { retryable: false, text: 'Something on the broker has this name but other settings.' },
  TOPOLOGY_MISSING: { retryable: false, text: 'Something is missing on the broker, and may not be created.' },
  TRANSACTION_FAILED: {
    retryable: true,
    text: 'The database refused to commit the transaction of the handler.',
  },
  UNKNOWN_GROUP: { retryable: false, text: 'The channel has no such group.' },
  UNROUTABLE: {
    retryable: false,
    text: 'No group receives this channel, so the broker had nowhere to put the message.',
  },
  UNSERIALISABLE: { retryable: false, text: 'The codec cannot write this value.' },
  UNSUPPORTED: { retryable: false, text: 'The adapter cannot do this.' },
} as const

export type ErrorCode = keyof typeof ERRORS

const inspectCustom: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never
const brand: unique symbol = Symbol.for('polybus.error') as never

export interface PolybusErrorOptions extends ErrorOptions {
  /** Publishing only: `no` is certainly not sent, `unknown` may have been. */
  readonly sent?: 'no' | 'unknown' | undefined
  /** Overrides the table, where an adapter knows better. */
  readonly retryable?: boolean | undefined
}

/**
 * Every error of Polybus. Match by code with {@link PolybusError.is}, which also works across copies of the package.
 *
 * @example
 * try { await bus.publish(orders, order) }
 * catch (error) { if (PolybusError.is(error, 'INVALID_MESSAGE')) return 400; throw error }
 */
export class PolybusError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  /** Publishing only: whether the message can be on the broker. */
  readonly sent: 'no' | 'unknown' | undefined

  constructor(code: ErrorCode, message?: string, options: PolybusErrorOptions = {}) {
    super(redact(message ?? ERRORS[code].text), options)
    this.code = code
    this.retryable = options.retryable ?? ERRORS[code].retryable
    this.sent = options.sent
    Object.defineProperty(this, brand, { value: true })
    // What consoles and loggers show: causes are shown too, and foreign ones may hold credentials.
    Object.defineProperty(this, inspectCustom, {
      value: (_depth: number, shown: object, inspect: (value: unknown, shown: object) => string) =>
        redact(inspect(this, { ...shown, customInspect: false })),
    })
  }

  override get name(): string {
    return 'PolybusError'
  }

  /** True for an error of Polybus, of the given code if one is given. */
  static is(error: unknown, code?: ErrorCode | (string & {})): error is PolybusError {
    return (
      typeof error === 'object' &&
      error !== null &&
      property(error, brand) === true &&
      (code === undefined || (error as unknown as PolybusError).code === code)
    )
  }
}

/**
 * Throw it where no further attempt can help: the message goes straight to the dead letters.
 *
 * @example
 * if (order.cents < 0) throw new NonRetryable('negative amount')
 */
export class NonRetryable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    Object.defineProperty(this, nonRetryable, { value: true })
  }
  override get name(): string {
    return 'NonRetryable'
  }
}

const nonRetryable: unique symbol = Symbol.for('polybus.non-retryable') as never
export const isNonRetryable = (error: unknown): boolean => property(error, nonRetryable) === true

/** Of anything that was thrown: a proxy or a getter may throw itself. */
export function property(thrown: unknown, name: symbol): unknown {
  try {
    return typeof thrown === 'object' && thrown !== null ? (thrown as Record<symbol, unknown>)[name] : undefined
  } catch {
    return undefined
  }
}

// Greedy to the last @ of the word: rather too much than too little.
const url = /\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s"'`<>]*@/gi
const secret =
  /((?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|(?:api|access|private|account)[-_]?key|authorization)[a-z_-]*["']?\s*[:=]\s*["']?(?:bearer\s+|basic\s+)?)([^\s"',;&}]+)/gi

/** Hides credentials in a text: the user part of URLs, and values after words such as `password`. */
export function redact(text: string): string {
  return text.replace(url, '$1***@').replace(secret, '$1***')
}

/** Anything that was thrown, as a name (of ours the code) and a message. Never throws itself. */
export function describeError(error: unknown): { name: string; message: string } {
  try {
    // Ours are known by their code: it is what people select dead letters by.
    if (PolybusError.is(error)) return { name: error.code, message: redact(error.message) }
    if (error instanceof Error)
      return { name: String(error.name || error.constructor.name), message: redact(String(error.message)) }
    if (typeof error === 'object' && error !== null && 'message' in error)
      return { name: 'name' in error ? String(error.name) : 'Error', message: redact(String(error.message)) }
    return { name: error === null ? 'null' : typeof error, message: redact(String(error)) }
  } catch {
    return { name: 'unknown', message: 'an error that cannot be described' }
  }
}

/** As {@link PolybusError}: what is already one stays as it is. */
export function asPolybusError(error: unknown, code: ErrorCode, options: PolybusErrorOptions = {}): PolybusError {
  if (PolybusError.is(error)) return error
  const { name, message } = describeError(error)
  return new PolybusError(code, `${ERRORS[code].text} ${name}: ${message}`, { cause: error, ...options })
}
