// What every adapter must show, on a real Kafka, over each client library: one after the other, since two at a time are more than
// two cores have time for.
import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'

const harness = new URL('./harness.ts', import.meta.url)
const other = new URL('./harness-platformatic.ts', import.meta.url)

await describeBroker(
  'kafka',
  async () => {
    await runConformance({ name: 'kafka', harness })
    await runConformance({ name: 'kafka-platformatic', harness: other })
  },
  { instance: 'conformance' },
)
