// What every adapter must show, on a real RabbitMQ.
import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'

const harness = new URL('./harness.ts', import.meta.url)

await describeBroker('rabbitmq', () => runConformance({ name: 'rabbitmq', harness }), { instance: 'conformance' })
