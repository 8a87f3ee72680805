// What all stores in a database may be told.
import {
  checkKeys,
  type Clock,
  describeError,
  type Duration,
  invalid,
  optionalBoolean,
  optionalDuration,
  show,
  systemClock,
} from '@polybus/core'

export interface DatabaseStoreOptions {
  /** How long a handled key is remembered. Default `'7d'`. */
  readonly ttl?: Duration | undefined
  /** How long one call of the store may take, the handler's own time apart. Default `'5s'`. */
  readonly timeout?: Duration | undefined
  /** How often what is past its time is removed. Default `'1m'`. */
  readonly cleanEvery?: Duration | undefined
  /** Its table; with a schema as `schema.table`. Lower-case letters, digits and `_`. Default `'polybus_handled'`. */
  readonly table?: string | undefined
  /** Whether tables that are missing are created. False: they are refused, and the error says what to run. Default true. */
  readonly create?: boolean | undefined
  /** Told where cleaning fails; it is tried again after `cleanEvery`. Default: a warning of the process. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** For the timers of this process: what time it is, the database says. Default: a system clock of its own. */
  readonly clock?: Clock | undefined
}

export interface DatabaseSettings {
  readonly ttlMs: number
  readonly timeoutMs: number
  readonly cleanEveryMs: number
  readonly table: string
  readonly create: boolean
  readonly onError: (error: unknown) => void
  readonly clock: Clock
  /** Its timers don't keep the process alive. */
  readonly idleClock: Clock
}

const KNOWN = ['ttl', 'timeout', 'cleanEvery', 'table', 'create', 'onError', 'clock']
const TABLE = /^[a-z_][a-z0-9_]{0,47}(\.[a-z_][a-z0-9_]{0,47})?$/

/** @throws {PolybusError} `INVALID_OPTION` where an option is wrong. */
export function databaseSettings(options: DatabaseStoreOptions, where: string): DatabaseSettings {
  checkKeys(options, KNOWN, where)
  const { table = 'polybus_handled', clock, onError = warn } = options
  if (typeof table !== 'string' || !TABLE.test(table))
    throw invalid(`${where}.table`, `expected a name such as 'polybus_handled' or 'app.handled', got ${show(table)}.`)
  if (typeof onError !== 'function') throw invalid(`${where}.onError`, `expected a function, got ${show(onError)}.`)
  if (clock !== undefined && typeof clock?.timer !== 'function')
    throw invalid(`${where}.clock`, 'expected a clock with now(), wall(), timer() and turn().')
  return {
    ttlMs: optionalDuration(options.ttl, `${where}.ttl`, 1) ?? 7 * 86_400_000,
    timeoutMs: optionalDuration(options.timeout, `${where}.timeout`, 1) ?? 5000,
    cleanEveryMs: optionalDuration(options.cleanEvery, `${where}.cleanEvery`, 10) ?? 60_000,
    table,
    create: optionalBoolean(options.create, `${where}.create`) ?? true,
    onError,
    clock: clock ?? systemClock(),
    idleClock: clock ?? systemClock({ unref: true }),
  }
}

/** Refuses what is no client of the kind that the store is for. */
export function checkClient(client: unknown, methods: readonly string[], where: string): void {
  const has = (name: string): boolean =>
    typeof client === 'object' && client !== null && typeof Reflect.get(client, name) === 'function'
  const missing = methods.filter((name) => !has(name))
  if (missing.length > 0)
    throw invalid(
      where,
      `expected a client with ${methods.map((name) => `${name}()`).join(', ')}, got ${show(client)}.`,
    )
}

function warn(error: unknown): void {
  const { name, message } = describeError(error)
  process.emitWarning(`Cleaning the idempotency store failed. ${name}: ${message}`, 'PolybusWarning')
}
