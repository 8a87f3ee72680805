// What every adapter must show, on a real SQS.
import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'

const harness = new URL('./harness.ts', import.meta.url)

await describeBroker('sqs', () => runConformance({ name: 'sqs', harness }), { instance: 'conformance' })
