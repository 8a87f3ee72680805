// The bus's options, checked and with their defaults: docs/guide/defaults.md lists the same.
import type { BusEvent, BusOptions, Logger, Middleware, Trace } from './api.ts'
import {
  checkKeys,
  checkName,
  invalid,
  optionalChoice,
  optionalDuration,
  optionalFunction,
  optionalInteger,
} from './options.ts'
import { DEFAULT_RETRY, type RetryPolicy, retryPolicy } from './consume/retry.ts'
import type { PublishMiddleware } from './publish/outgoing.ts'
import { show } from './duration.ts'

export interface Settings {
  readonly service: string
  readonly namespace: string | undefined
  readonly topology: 'create' | 'verify' | 'none'
  readonly log: Logger
  readonly observe: ((event: BusEvent) => void) | undefined
  readonly trace: Trace
  readonly use: readonly Middleware[]
  readonly concurrency: number | undefined
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly connectTimeoutMs: number
  readonly graceMs: number
  readonly strict: boolean
  readonly publishing: {
    readonly bufferMessages: number
    readonly bufferBytes: number
    readonly timeoutMs: number
    readonly whenFull: 'wait' | 'reject' | 'drop-oldest'
    readonly use: readonly PublishMiddleware[]
  }
}

/** What an unset option means. */
export const DEFAULTS: {
  readonly service: string
  readonly concurrency: number
  readonly batchConcurrency: number
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  readonly graceMs: number
  readonly publishTimeoutMs: number
  readonly bufferMessages: number
  readonly bufferBytes: number
} = {
  service: 'polybus',
  concurrency: 16,
  batchConcurrency: 1,
  timeoutMs: 30_000,
  connectTimeoutMs: 10_000,
  graceMs: 20_000,
  publishTimeoutMs: 30_000,
  bufferMessages: 10_000,
  bufferBytes: 64 * 1024 * 1024,
}

const OPTIONS = [
  'service',
  'namespace',
  'topology',
  'logger',
  'observe',
  'trace',
  'use',
  'defaults',
  'connectTimeout',
  'grace',
  'durability',
  'publishing',
]
const none = (): void => {}
/** A logger that throws must not cost a message its outcome. */
const guarded = (logger: Logger): Logger => {
  const at =
    (level: keyof Logger): Logger['debug'] =>
    (fields, text) => {
      try {
        logger[level](fields, text)
      } catch {
        // There is nobody left to tell.
      }
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
const SILENT: Logger = { debug: none, info: none, warn: none, error: none }
/** Warnings and errors to the console: a library that says nothing hides what goes wrong. */
const CONSOLE: Logger = {
  debug: none,
  info: none,
  warn: (fields, text) => console.warn(`polybus: ${text}`, fields), // oxlint-disable-line no-console -- the documented default
  error: (fields, text) => console.error(`polybus: ${text}`, fields), // oxlint-disable-line no-console -- the documented default
}

export function settings(options: BusOptions): Settings {
  const where = 'connect()'
  checkKeys(options, OPTIONS, where)
  const {
    service = DEFAULTS.service,
    namespace,
    logger,
    observe,
    trace = {},
    use = [],
    defaults = {},
    publishing = {},
  } = options
  if (typeof service !== 'string' || service === '')
    throw invalid(`${where}.service`, `expected a text, got ${show(service)}.`)
  if (namespace !== undefined) checkName(namespace, `${where}.namespace`)
  if (
    logger !== undefined &&
    logger !== false &&
    !(['debug', 'info', 'warn', 'error'] as const).every((level) => typeof logger?.[level] === 'function')
  )
    throw invalid(
      `${where}.logger`,
      'expected false or an object with debug, info, warn and error, such as pino or console.',
    )
  // A tracer may be a class with fields of its own.
  if (Object.getPrototypeOf(trace) === Object.prototype) checkKeys(trace, ['publish', 'attempt'], `${where}.trace`)
  for (const field of ['publish', 'attempt'] as const) optionalFunction(trace[field], `${where}.trace.${field}`)
  checkKeys(defaults, ['concurrency', 'timeout', 'retry'], `${where}.defaults`)
  checkKeys(publishing, ['bufferMessages', 'bufferBytes', 'timeout', 'whenFull', 'use'], `${where}.publishing`)
  const functions = <T>(list: readonly T[], field: string): readonly T[] => {
    if (!Array.isArray(list) || list.some((item) => typeof item !== 'function'))
      throw invalid(field, 'expected an array of functions.')
    return list
  }
  return {
    service,
    namespace,
    topology: optionalChoice(options.topology, `${where}.topology`, ['create', 'verify', 'none']) ?? 'create',
    log: logger === false ? SILENT : guarded(logger ?? CONSOLE),
    observe: optionalFunction(observe, `${where}.observe`),
    trace,
    use: functions(use, `${where}.use`),
    concurrency: optionalInteger(defaults.concurrency, `${where}.defaults.concurrency`, 1, 10_000),
    timeoutMs: optionalDuration(defaults.timeout, `${where}.defaults.timeout`, 1) ?? DEFAULTS.timeoutMs,
    retry: retryPolicy(defaults.retry, `${where}.defaults.retry`) ?? DEFAULT_RETRY,
    connectTimeoutMs:
      optionalDuration(options.connectTimeout, `${where}.connectTimeout`, 1) ?? DEFAULTS.connectTimeoutMs,
    graceMs: optionalDuration(options.grace, `${where}.grace`) ?? DEFAULTS.graceMs,
    strict: optionalChoice(options.durability, `${where}.durability`, ['report', 'strict']) === 'strict',
    publishing: {
      bufferMessages:
        optionalInteger(publishing.bufferMessages, `${where}.publishing.bufferMessages`, 1) ?? DEFAULTS.bufferMessages,
      bufferBytes:
        optionalInteger(publishing.bufferBytes, `${where}.publishing.bufferBytes`, 1) ?? DEFAULTS.bufferBytes,
      timeoutMs: optionalDuration(publishing.timeout, `${where}.publishing.timeout`, 1) ?? DEFAULTS.publishTimeoutMs,
      whenFull:
        optionalChoice(publishing.whenFull, `${where}.publishing.whenFull`, ['wait', 'reject', 'drop-oldest']) ??
        'wait',
      use: functions(publishing.use ?? [], `${where}.publishing.use`),
    },
  }
}
