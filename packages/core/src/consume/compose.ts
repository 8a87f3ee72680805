// Users' middleware around the handler: `(ctx, next) => Promise<void>`, as in Hono and Koa.
import type { Context, Maybe, Middleware } from '../api.ts'

export type Invoke = (value: unknown, ctx: Context<unknown>) => Maybe

/** Calling `next()` twice is an error: the handler would run twice for one delivery. */
export function compose(middleware: readonly Middleware[], handler: Invoke): Invoke {
  if (middleware.length === 0) return handler
  return (value, ctx) => {
    let reached = -1
    const run = async (index: number): Promise<void> => {
      if (index <= reached) throw new Error('next() was called twice by a middleware.')
      reached = index
      const current = middleware[index]
      if (current) await current(ctx, () => run(index + 1))
      else await handler(value, ctx)
    }
    return run(0)
  }
}
