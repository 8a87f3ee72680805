import { consumer, exponential, fixed, NonRetryable, RetryAfter } from 'polybus'
import { orders } from './02-typed.ts'
class CardDeclined extends Error {}
class RateLimited extends Error {
  readonly seconds: number
  constructor(seconds: number) {
    super('429')
    this.seconds = seconds
  }
}
export const charge = consumer(orders, 'email', {
  timeout: '10s',
  retry: {
    attempts: 5,
    backoff: exponential({ initial: '200ms', max: '1m' }),
    wait: 'released',
    rules: [
      { on: [CardDeclined, SyntaxError], attempts: 1 },
      { on: [RateLimited], attempts: 50, backoff: fixed('30s') },
      { on: (e) => e instanceof Error && 'code' in e && e.code === '40001', attempts: 10, backoff: fixed('50ms') },
    ],
  },
  async handler(order, { lastAttempt }) {
    if (order.cents < 0) throw new NonRetryable('negative amount')
    if (lastAttempt) throw new RetryAfter('10m', { cause: new Error('x') })
  },
})
