// Batch consumers: a collector stands in the handler's place, so that every stage before it stays the same.
import type { BatchContext, BatchItem, Context, Logger, Publish } from '../api.ts'
import { createBacklog } from '../backlog.ts'
import type { Clock, Timer } from '../clock.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { Message } from '../message.ts'
import type { Invoke } from './compose.ts'
import { HandlerContext } from './context.ts'
import type { Flight } from './flight.ts'

/**
 * A message that waits for its batch, and then for the batch's end. What a promise is to whoever awaits it, without a
 * promise's cost; it tells one listener.
 */
export class Gathered {
  readonly value: unknown
  readonly ctx: Context<unknown>
  readonly #flight: Flight | undefined
  readonly #left: () => void
  /** It went back. */
  withdrawn = false
  #listener: ((failure: Failure | undefined) => void) | undefined
  #ended = false
  #failure: Failure | undefined

  constructor(value: unknown, ctx: Context<unknown>, left: () => void) {
    this.value = value
    this.ctx = ctx
    this.#left = left
    this.#flight = HandlerContext.flightOf(ctx)
    if (!this.#flight) return
    // Its time is the batch's, and until that begins a stop or a loss takes it back.
    this.#flight.timing?.suspend()
    this.#flight.gathered = this
  }
  get keyed(): boolean {
    return this.#flight?.key !== undefined
  }
  /** A later message of its key waits for it. */
  get holdsUp(): boolean {
    return this.#flight?.nextOfKey !== undefined
  }
  /** It stands among those that wait for a batch. */
  joined(): void {
    this.#flight?.whenGathered?.()
  }
  begin(): void {
    if (!this.#flight) return
    this.#flight.gathered = undefined
    this.#flight.timing?.resume()
  }
  /** It goes back before its batch begins. */
  withdraw(): void {
    if (this.#ended) return
    if (this.#flight) this.#flight.gathered = undefined
    this.withdrawn = true
    this.#left()
    this.end({ error: new PolybusError('CLOSED', 'The message went back before its batch began.') })
  }
  end(failure: Failure | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#failure = failure
    this.#listener?.(failure)
  }
  onEnd(listener: (failure: Failure | undefined) => void): void {
    if (this.#ended) listener(this.#failure)
    else this.#listener = listener
  }
  /** For middleware and tracers, which await what the handler returns. */
  // oxlint-disable-next-line unicorn/no-thenable -- it stands for a promise
  then(resolve: () => void, reject: (error: unknown) => void): void {
    this.onEnd((failure) => (failure ? reject(failure.error) : resolve()))
  }
}
interface Failure {
  readonly error: unknown
}

export interface BatchOptions {
  readonly clock: Clock
  readonly max: number
  readonly waitMs: number
  /** Batches at one time. */
  readonly concurrency: number
  /** How many messages there can be at one time. */
  readonly most: () => number
  readonly handler: (items: readonly BatchItem<unknown>[], ctx: BatchContext<unknown>) => unknown
}

/** So many that were withdrawn may stand among the others. */
const STALE = 1024

export function createBatch({ clock, max, waitMs, concurrency, most, handler }: BatchOptions): Invoke {
  /** What waits for its batch, in order. */
  const pending = createBacklog<Gathered>()
  /** Of them, those that were withdrawn. */
  let withdrawn = 0
  let timer: Timer | undefined
  let due = false
  let running = 0
  let looking = false

  /** Where no more can come, waiting is in vain; and while batches run the next one gathers. */
  const enough = (): number => Math.max(1, Math.min(max, Math.floor(most() / (concurrency + 1))))

  const reset = (): void => {
    timer?.cancel()
    timer = undefined
    due = false
  }
  /** Others wait for one of these, by their key: to wait for more would only hold them up. */
  const holdsUp = (): boolean => pending.find((gathered) => gathered.holdsUp && !gathered.withdrawn) !== undefined
  const waiting = (): number => pending.size - withdrawn
  /** `settled`: all that had come by now is here. */
  const collect = (settled = false): void => {
    if (waiting() === 0 || running >= concurrency) return
    if (waiting() < enough() && !due && !(settled && holdsUp())) {
      timer ??= clock.timer(waitMs, () => {
        due = true
        collect()
      })
      return
    }
    reset()
    const items: Gathered[] = []
    for (let next = pending.peek(); next && items.length < max; next = pending.peek()) {
      pending.shift()
      if (next.withdrawn) withdrawn--
      else {
        next.begin()
        items.push(next)
      }
    }
    running++
    // Errors are the items' promises.
    void runBatch(items, handler).then(() => {
      running--
      collect()
      lookLater()
    })
    collect()
  }

  /** What was received together is given to us one by one, in one turn. */
  const lookLater = (): void => {
    if (looking || waiting() === 0) return
    looking = true
    void clock.turn().then(() => {
      looking = false
      collect(true)
    })
  }

  /** Taken out together, later: a stop withdraws thousands, one by one. */
  const left = (): void => {
    withdrawn++
    if (waiting() === 0) reset()
    if (waiting() > 0 && (withdrawn < STALE || withdrawn * 2 < pending.size)) return
    pending.retain((gathered) => !gathered.withdrawn)
    withdrawn = 0
  }

  return (value, ctx) => {
    const gathered = new Gathered(value, ctx, left)
    pending.push(gathered)
    gathered.joined()
    collect()
    if (gathered.keyed) lookLater()
    return gathered as unknown as Promise<void>
  }
}

async function runBatch(gathered: readonly Gathered[], handler: BatchOptions['handler']): Promise<void> {
  const items = gathered.map(({ value, ctx }) => new Item(value, ctx))
  let failed: Failure | undefined
  try {
    // A list of its own: it may sort it, or take items out.
    await handler([...items], new Shared(gathered))
  } catch (error) {
    failed = { error }
  }
  for (let index = 0; index < gathered.length; index++) {
    const own = Item.endOf(items[index] as Item)
    gathered[index]?.end(failed ?? own)
  }
}

/** Of thousands a second: what most handlers do not look at is made when it is looked at. */
class Item implements BatchItem<unknown> {
  readonly value: unknown
  readonly attempt: number
  readonly #ctx: Context<unknown>
  #failure: Failure | undefined
  #over = false

  constructor(value: unknown, ctx: Context<unknown>) {
    this.value = value
    this.attempt = ctx.attempt
    this.#ctx = ctx
  }
  get message(): Message {
    return this.#ctx.message
  }
  /** A function of its own: it may be taken out of the item. Made when it is asked for: one in each item lets garbage grow old. */
  get fail(): (error: unknown) => void {
    return (error) => {
      if (!this.#over) this.#failure = { error }
      else
        this.#ctx.log.warn(
          { err: describeError(error) },
          'item.fail() was called after its batch had ended: the message is settled',
        )
    }
  }
  static endOf(item: Item): Failure | undefined {
    item.#over = true
    return item.#failure
  }
}

class Shared implements BatchContext<unknown> {
  readonly group: string
  readonly tx: unknown
  readonly #all: readonly Gathered[]
  readonly #first: Context<unknown>
  #abort: AbortController | undefined

  constructor(all: readonly Gathered[]) {
    this.#all = all
    this.#first = (all[0] as Gathered).ctx
    this.group = this.#first.group
    this.tx = this.#first.tx
  }
  get lastAttempt(): boolean {
    return this.#all.every(({ ctx }) => ctx.lastAttempt)
  }
  /** A signal for each message, and a listener on it, cost more than all else of a batch. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = (this.#abort = new AbortController())
      for (const { ctx } of this.#all) {
        const { signal } = ctx
        if (signal.aborted) abort.abort(signal.reason)
        else signal.addEventListener('abort', () => abort.abort(signal.reason), { once: true })
      }
    }
    return this.#abort.signal
  }
  /** Of no single message. */
  get log(): Logger {
    return HandlerContext.logOf(this.#first)
  }
  get publish(): Publish {
    return this.#first.publish
  }
  get sideEffectKey(): (name: string) => string {
    return this.#first.sideEffectKey
  }
}
