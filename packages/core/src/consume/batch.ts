// Batch consumers: a collector stands in the handler's place, so that every stage before it stays the same.
import type { BatchContext, BatchItem, Context } from '../api.ts'
import type { Clock, Timer } from '../clock.ts'
import { PolybusError } from '../errors.ts'
import type { Invoke } from './compose.ts'
import { HandlerContext } from './context.ts'

interface Pending {
  readonly value: unknown
  readonly ctx: Context<unknown>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}
export interface BatchOptions {
  readonly clock: Clock
  readonly max: number
  readonly waitMs: number
  /** Batches at one time. */
  readonly concurrency: number
  readonly handler: (items: readonly BatchItem<unknown>[], ctx: BatchContext<unknown>) => unknown
}

export function createBatch({ clock, max, waitMs, concurrency, handler }: BatchOptions): Invoke {
  /** What waits for its batch, in order. */
  const pending = new Set<Pending>()
  let timer: Timer | undefined
  let due = false
  let running = 0

  const reset = (): void => {
    timer?.cancel()
    timer = undefined
    due = false
  }
  const collect = (): void => {
    if (pending.size === 0 || running >= concurrency) return
    if (pending.size < max && !due) {
      timer ??= clock.timer(waitMs, () => {
        due = true
        collect()
      })
      return
    }
    reset()
    const items: Pending[] = []
    for (const item of pending) {
      if (items.length === max) break
      items.push(item)
    }
    for (const item of items) {
      pending.delete(item)
      const flight = HandlerContext.flightOf(item.ctx)
      if (!flight) continue
      flight.withdraw = undefined
      flight.timing?.resume()
    }
    running++
    // Errors are the items' promises.
    void runBatch(items, handler).then(() => {
      running--
      collect()
    })
    collect()
  }

  return (value, ctx) =>
    new Promise<void>((resolve, reject) => {
      const item: Pending = { value, ctx, resolve, reject }
      const flight = HandlerContext.flightOf(ctx)
      if (flight) {
        // Its time is the batch's, and until that begins a stop or a loss takes it back.
        flight.timing?.suspend()
        flight.withdraw = () => {
          flight.withdraw = undefined
          pending.delete(item)
          if (pending.size === 0) reset()
          reject(new PolybusError('CLOSED', 'The message went back before its batch began.'))
        }
      }
      pending.add(item)
      collect()
    })
}

async function runBatch(pending: readonly Pending[], handler: BatchOptions['handler']): Promise<void> {
  const failures = new Map<number, unknown>()
  const items = pending.map(({ value, ctx }, index): BatchItem<unknown> => ({
    value,
    attempt: ctx.attempt,
    get message() {
      return ctx.message
    },
    fail: (error) => void failures.set(index, error),
  }))
  const abort = new AbortController()
  for (const { ctx } of pending) {
    if (ctx.signal.aborted) abort.abort(ctx.signal.reason)
    ctx.signal.addEventListener('abort', () => abort.abort(ctx.signal.reason), { once: true })
  }
  try {
    await handler(items, batchContext(pending, abort.signal))
    for (const [index, { resolve, reject }] of pending.entries()) {
      if (failures.has(index)) reject(failures.get(index))
      else resolve()
    }
  } catch (error) {
    for (const { reject } of pending) reject(error)
  }
}

function batchContext(pending: readonly Pending[], signal: AbortSignal): BatchContext<unknown> {
  const first = (pending[0] as Pending).ctx
  return {
    group: first.group,
    lastAttempt: pending.every(({ ctx }) => ctx.lastAttempt),
    signal,
    get log() {
      return first.log
    },
    tx: first.tx,
    get publish() {
      return first.publish
    },
    sideEffectKey: first.sideEffectKey,
  }
}
