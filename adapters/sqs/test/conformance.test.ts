// What every adapter must show, on ElasticMQ.
import { describeBroker } from '@polybus/brokers'
import { runConformance } from '@polybus/testkit'
import { vi } from 'vitest'

const harness = new URL('harness.ts', import.meta.url)

// A long poll that waits behind a held message of its key keeps one of ElasticMQ's threads busy: with eight such queues at
// once it answers nobody for half a minute.
vi.setConfig({ maxConcurrency: 4 })

await describeBroker('sqs', () => runConformance({ name: 'sqs', harness }), { instance: 'conformance' })
