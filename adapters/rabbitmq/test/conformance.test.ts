// What every adapter must show, on a real RabbitMQ.
import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'
import { vi } from 'vitest'

const harness = new URL('./harness.ts', import.meta.url)
// The server is what limits: with more at once cases run into their limits where somebody else is at work too.
vi.setConfig({ maxConcurrency: 6 })

await describeBroker('rabbitmq', () => runConformance({ name: 'rabbitmq', harness }), { instance: 'conformance' })
