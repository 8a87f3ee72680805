import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'
import { vi } from 'vitest'

const harness = new URL('harness.ts', import.meta.url)

// ElasticMQ's time for a message grows with the message groups that are held, so wider is slower.
vi.setConfig({ maxConcurrency: 6 })

await describeBroker('sqs', () => runConformance({ name: 'sqs', harness }), { instance: 'conformance' })
