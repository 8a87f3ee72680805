import { describeBroker } from '@polybus/brokers'
import { runStoreConformance } from '../src/testing/index.ts'
import { instanceOf } from './postgres.ts'

const harness = new URL('./harness-prisma.ts', import.meta.url)

await describeBroker('postgres', () => runStoreConformance({ harness }), { instance: instanceOf('prisma') })
