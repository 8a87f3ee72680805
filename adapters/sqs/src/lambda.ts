// The same consumer as an AWS Lambda function: one bus for all invocations of a process, a feed that hands out their events.
import {
  type Bus,
  type BusOptions,
  type Clock,
  type Consumer,
  createBus,
  type Middleware,
  optionalInteger,
  PolybusError,
  systemClock,
} from '@polybus/core'
import { createSqs, type SqsAdapter } from './adapter.ts'
import type { FeedOptions } from './feed.ts'
import { createPausableClock } from './lambda-clock.ts'
import { messagesOf } from './lambda-event.ts'
import { type Batch, createDesk } from './lambda-feed.ts'
import type { SqsOptions } from './options.ts'

export type LambdaOptions = BusOptions & {
  /** As for {@link sqs}: a URL, or options. Default `sqs:`, which is AWS with the function's own role and region. */
  readonly broker?: string | SqsOptions | undefined
  /**
   * How long before the function's time-out nothing more starts: what waits is given back at once, what runs has half of this
   * to finish. Never more than half of what an invocation has. Default 1,000.
   */
  readonly reserveMs?: number | undefined
}

/** What Lambda expects where `ReportBatchItemFailures` is set. */
export interface SqsBatchResponse {
  batchItemFailures: { itemIdentifier: string }[]
}

export interface LambdaHandler {
  (
    event: { readonly Records: readonly unknown[] },
    context: { getRemainingTimeInMillis(): number },
  ): Promise<SqsBatchResponse>
  /** Ends the bus, where somebody is told of the end (tests, an extension). */
  close(): Promise<void>
}

/**
 * Runs a consumer as a Lambda function whose event source is its group's queue: decoding, validation, idempotency, middleware,
 * retries and dead letters are those of a bus. **The event source needs `ReportBatchItemFailures`**: without it Lambda ignores
 * the answer, and deletes what failed.
 *
 * Connections are made at the first event and kept. Nothing is created: `topology` is `none` unless given. Retries of channels
 * without a key go back to the queue, with their delay. Those with a key wait in the function; what cannot end before the
 * time-out is given back as a failure, with all that stands behind it in its message group, and counts its attempts anew.
 *
 * @throws {PolybusError} `INVALID_OPTION`. The handler throws where the whole event cannot be handled (no connection, a queue
 * that is not the group's), never for single records.
 * @example
 * export const handler = lambda(consumer(orders, 'email', async (order) => send(order.id)))
 */
export function lambda(consumer: Consumer, options: LambdaOptions = {}): LambdaHandler {
  const { broker = 'sqs:', reserveMs: wanted, ...given } = options
  const reserveMs = optionalInteger(wanted, 'lambda().reserveMs', 100, 600_000) ?? 1000
  const sqsOptions: SqsOptions = typeof broker === 'string' ? { url: broker } : broker
  const clock = createPausableClock(sqsOptions.clock ?? systemClock())
  const desk = createDesk(clock)
  const waits = createWaits(clock)
  let queue: string | undefined
  let starting: Promise<Bus> | undefined

  const makeFeed = (feed: FeedOptions): ReturnType<typeof desk.makeFeed> => {
    queue = feed.queue.name
    waits.keyed = feed.layout.keyed
    return desk.makeFeed(feed)
  }
  // A wrong option is told where it stands, not at the first event.
  const first = adapterOf(sqsOptions, clock, makeFeed)
  let unused: SqsAdapter | undefined = first
  const start = async (): Promise<Bus> => {
    const adapter = unused ?? adapterOf(sqsOptions, clock, makeFeed)
    unused = undefined
    const use = [waits.middleware, ...(given.use ?? [])]
    const bus = await createBus(adapter, { topology: 'none', ...given, use }, { delayMs: waits.delayMs })
    try {
      await bus.start(consumer)
    } catch (error) {
      await bus.close({ grace: '0ms' })
      throw error
    }
    return bus
  }
  const started = async (limitMs: number): Promise<void> => {
    starting ??= start()
    const attempt = starting
    // The next event tries again.
    attempt.catch(() => {
      if (starting === attempt) starting = undefined
    })
    await before(clock, limitMs, attempt)
  }

  const handler = async (
    event: { readonly Records: readonly unknown[] },
    context: { getRemainingTimeInMillis(): number },
  ): Promise<SqsBatchResponse> => {
    clock.resume()
    try {
      const remainingMs = context.getRemainingTimeInMillis()
      const reserve = Math.min(reserveMs, remainingMs / 2)
      const softAt = clock.now() + remainingMs - reserve
      const hardAt = softAt + reserve / 2
      await started(hardAt - clock.now())
      const batch = desk.hand(messagesOf(event, queue ?? ''))
      if (softAt <= clock.now()) batch.giveBack()
      const timers = [
        clock.timer(softAt - clock.now(), batch.giveBack),
        clock.timer(hardAt - clock.now(), batch.abandon),
      ]
      const unwatch = waits.watch(batch, softAt)
      try {
        return responseTo(await batch.ended, waits.keyed)
      } finally {
        unwatch()
        for (const timer of timers) timer.cancel()
      }
    } finally {
      clock.pause()
    }
  }
  const close = async (): Promise<void> => {
    clock.resume()
    try {
      await (await starting)?.close()
    } finally {
      clock.pause()
    }
  }
  return Object.assign(handler, { close })
}

function adapterOf(options: SqsOptions, clock: Clock, makeFeed: Parameters<typeof createSqs>[1]): SqsAdapter {
  const adapter = createSqs({ ...options, clock }, makeFeed)
  return {
    ...adapter,
    clock,
    capabilities: (spec) => ({
      ...adapter.capabilities(spec),
      // Lambda holds them, for as long as the function may run.
      lease: { ms: null, renewable: false, maxHoldMs: null },
      lateSettle: 'never',
    }),
  }
}

/** A failure takes with it what stands behind it in its message group: else that would come before it for good. */
function responseTo(records: Awaited<Batch['ended']>, keyed: boolean): SqsBatchResponse {
  const failed = new Set<string>()
  const batchItemFailures: { itemIdentifier: string }[] = []
  for (const { native, ending } of records) {
    const group = keyed ? native.Attributes?.MessageGroupId : undefined
    const behind = group !== undefined && failed.has(group) && ending === 'acked'
    if (ending !== 'failed' && !behind) continue
    if (group !== undefined && ending === 'failed') failed.add(group)
    batchItemFailures.push({ itemIdentifier: native.MessageId ?? '' })
  }
  return { batchItemFailures }
}

function before<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.timer(limitMs, () =>
      reject(
        new PolybusError(
          'CONNECT_TIMEOUT',
          'The function ends before SQS answered. Give it a longer timeout, or look at its network: in a VPC it needs an endpoint for SQS.',
        ),
      ),
    )
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}

interface Waits {
  keyed: boolean
  readonly middleware: Middleware
  readonly delayMs: (delayMs: number) => number
  watch(batch: Batch, softAt: number): () => void
}

/**
 * A function that only waits costs as one that works. With keys retries wait here: where no handler runs, and all that is left
 * waits, or stands behind what waits, for a time that lies behind the end, it is given back at once.
 */
function createWaits(clock: Clock): Waits {
  const watched = new Map<Batch, number>()
  let due: number[] = []
  let running = 0
  const check = (): void => {
    const now = clock.now()
    due = due.filter((at) => at > now)
    if (running > 0) return
    for (const [batch, softAt] of watched) {
      const late = due.filter((at) => at > softAt)
      if (late.length === due.length && batch.open > 0 && batch.open <= late.length) batch.giveBack()
    }
  }
  const waits: Waits = {
    keyed: false,
    async middleware(_, next) {
      running++
      try {
        await next()
      } finally {
        running--
        // What follows from it is decided by then.
        if (waits.keyed) void clock.turn().then(check)
      }
    },
    delayMs(delayMs) {
      if (waits.keyed) due.push(clock.now() + delayMs)
      return delayMs
    },
    watch(batch, softAt) {
      watched.set(batch, softAt)
      return () => watched.delete(batch)
    },
  }
  return waits
}
