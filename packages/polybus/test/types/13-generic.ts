// generic helpers people write over any channel
import { consumer, type Bus, type Channel, type Middleware, type Consumer } from 'polybus'
export const mirror = <T>(from: Channel<T>, to: Bus): Consumer =>
  consumer(from, 'mirror', (value, { message }) => to.publish(from, value, { id: message.id }))
export const timing: Middleware = async (ctx, next) => {
  const t = performance.now()
  try {
    await next()
  } finally {
    ctx.log.debug({ ms: performance.now() - t }, 'handled')
  }
}
declare const signal: AbortSignal | undefined
declare const bus: Bus
declare const ch: Channel<{ a: number }>
await bus.publish(ch, { a: 1 }, { signal })
