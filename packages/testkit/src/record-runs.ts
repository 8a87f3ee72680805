import type { BatchItem, Consumer, Message } from '@polybus/core'

export interface RunRecord {
  /** Of the delivery. */
  readonly position: string
  readonly value: unknown
  readonly attempt: number
}

type Each = (value: unknown, ctx: { readonly message: Message; readonly attempt: number }) => unknown
type Batch = (items: readonly BatchItem<unknown>[], ctx: unknown) => unknown
/** As core's consumer() makes it; nothing else of it matters here. */
interface Definition {
  readonly run: { readonly kind: 'each'; readonly handler: Each } | { readonly kind: 'batch'; readonly handler: Batch }
}

/** The same consumer, telling of each start of its handler. */
export function recordRuns(consumer: Consumer, record: (run: RunRecord) => void): Consumer {
  const definition = consumer['~run'] as Definition
  const { run } = definition
  if (run.kind === 'each') {
    const handler: Each = (value, ctx) => {
      record({ position: ctx.message.position, value, attempt: ctx.attempt })
      return run.handler(value, ctx)
    }
    return { ...consumer, '~run': { ...definition, run: { ...run, handler } } }
  }
  const handler: Batch = (items, ctx) => {
    for (const { value, message, attempt } of items) record({ position: message.position, value, attempt })
    return run.handler(items, ctx)
  }
  return { ...consumer, '~run': { ...definition, run: { ...run, handler } } }
}
