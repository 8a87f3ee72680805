// oxlint-disable vitest/no-commented-out-tests
// Waits for testBus of @polybus/testkit. Then this file is:
/*
import { expect, onTestFinished, test } from 'vitest'
import { testBus } from '@polybus/testkit'
import { consumer, RetryAfter } from 'polybus'
import { orders } from './02-typed.ts'
const email = (send: (id: string) => Promise<void>) => consumer(orders, 'email', { retry: { attempts: 3 }, handler: (o) => send(o.id) })
test('the receipt is sent after one failure', async () => {
  let n = 0
  const bus = await testBus({ broker: process.env['TEST_BROKER'], delays: 'skip', consumers: [email(async () => { if (n++ === 0) throw new RetryAfter('1h') })] })
  onTestFinished(() => bus.close())
  await bus.publish(orders, { id: 'o-1', customer: 'c', cents: 1, at: '2025-01-01T00:00:00Z' })
  await bus.settled({ timeout: '10s' })
  const [first] = bus.handled(orders, 'email')
  expect(first).toMatchObject({ outcome: 'ack', attempts: 2 })
  expect(first?.value.at.getTime()).toBe(0)
})
*/
export {}
