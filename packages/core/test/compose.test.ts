import { expect, test } from 'vitest'
import type { Context, Middleware } from '../src/api.ts'
import { compose } from '../src/consume/compose.ts'

const ctx = {} as Context<unknown>

test('middleware wraps the handler, the first outermost', async () => {
  const seen: string[] = []
  const layer =
    (name: string): Middleware =>
    async (_, next) => {
      seen.push(`${name} in`)
      await next()
      seen.push(`${name} out`)
    }
  await compose([layer('a'), layer('b')], (value) => void seen.push(`handler ${String(value)}`))(7, ctx)
  expect(seen).toEqual(['a in', 'b in', 'handler 7', 'b out', 'a out'])
})
test('next() twice is an error, and the handler ran once', async () => {
  let runs = 0
  const twice: Middleware = async (_, next) => {
    await next()
    await next()
  }
  await expect(Promise.resolve(compose([twice, async (_, next) => next()], () => void runs++)(1, ctx))).rejects.toThrow(
    'next() was called twice',
  )
  expect(runs).toBe(1)
})
test('throws pass through, and a middleware may stop the way', async () => {
  await expect(
    Promise.resolve(
      compose([async (_, next) => next()], () => {
        throw new Error('boom')
      })(1, ctx),
    ),
  ).rejects.toThrow('boom')
  let ran = false
  await compose([async () => {}], () => {
    ran = true
  })(1, ctx)
  expect(ran).toBe(false)
})
test('every delivery has its own count of next()', async () => {
  const run = compose([async (_, next) => next()], () => {})
  await Promise.all([run(1, ctx), run(2, ctx)])
  await run(3, ctx)
})
test('without middleware the handler is called as it is', () => {
  const handler = (): void => {}
  expect(compose([], handler)).toBe(handler)
})
