import { describeBroker } from '@polybus/brokers'
import { runStoreConformance } from '../src/testing/index.ts'
import { INSTANCE } from './harness-redis.ts'

await describeBroker('redis', () => runStoreConformance({ harness: new URL('./harness-redis.ts', import.meta.url) }), {
  instance: INSTANCE,
})
