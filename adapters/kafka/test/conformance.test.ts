// What every adapter must show, on a real Kafka.
import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'

const harness = new URL('./harness.ts', import.meta.url)

await describeBroker('kafka', () => runConformance({ name: 'kafka', harness }), { instance: 'conformance' })
