// Batch consumers: a collector stands in the handler's place, so that every stage before it stays the same.
import type { BatchContext, BatchItem, Context } from '../api.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Invoke } from './compose.ts'

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
  let pending: Pending[] = []
  let timer: Timer | undefined
  let due = false
  let running = 0

  const collect = (): void => {
    if (pending.length === 0 || running >= concurrency) return
    if (pending.length < max && !due) {
      timer ??= clock.timer(waitMs, () => {
        due = true
        collect()
      })
      return
    }
    timer?.cancel()
    timer = undefined
    due = false
    const items = pending.slice(0, max)
    pending = pending.slice(max)
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
      pending.push({ value, ctx, resolve, reject })
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
