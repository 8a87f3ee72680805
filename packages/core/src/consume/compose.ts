// Users' middleware around the handler: `(ctx, next) => Promise<void>`, as in Hono and Koa.
import type { Context, Maybe, Middleware } from '../api.ts'

export type Invoke = (value: unknown, ctx: Context<unknown>) => Maybe

/**
 * Calling `next()` twice is an error: the handler would run twice for one delivery. A middleware that does not wait for it
 * is waited for all the same: a handler's failure must not become an acknowledgement. One that waits may swallow it.
 */
export function compose(middleware: readonly Middleware[], handler: Invoke): Invoke {
  if (middleware.length === 0) return handler
  return (value, ctx) => {
    let reached = -1
    const run = async (index: number): Promise<void> => {
      if (index <= reached) throw new Error('next() was called twice by a middleware.')
      reached = index
      const current = middleware[index]
      if (!current) return void (await handler(value, ctx))
      let inner: Promise<void> | undefined
      let awaited = false
      const next = (): Promise<void> => {
        const result = run(index + 1)
        inner ??= result
        return noticed(result, () => {
          awaited = true
        })
      }
      try {
        await current(ctx, next)
      } catch (error) {
        await inner?.catch(ignore)
        throw error
      }
      await (awaited ? inner?.catch(ignore) : inner)
    }
    return run(0)
  }
}

const ignore = (): void => {}

/** Tells when somebody waits for the promise. `await` asks for `then` only where the constructor is not Promise itself. */
function noticed(promise: Promise<void>, notice: () => void): Promise<void> {
  // Nobody may be waiting: that must not be an unhandled rejection.
  promise.catch(ignore)
  const view = promise.then(ignore)
  view.catch(ignore)
  return Object.defineProperties(view, {
    constructor: { value: undefined },
    // oxlint-disable-next-line unicorn/no-thenable -- it is a promise; only who asks for `then` is noticed
    then: {
      value: (...callbacks: Parameters<Promise<void>['then']>) => {
        notice()
        return promise.then(...callbacks)
      },
    },
  })
}
