// What every adapter must show, on a real Redis.
import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'

const harness = new URL('./harness.ts', import.meta.url)

await describeBroker('redis', () => runConformance({ name: 'redis', harness }), { instance: 'conformance' })
