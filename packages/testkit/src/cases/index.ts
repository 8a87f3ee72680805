import type { Case } from '../case.ts'
import { cases as deadLetters } from './dead-letters.ts'
import { cases as driverBroker } from './driver-broker.ts'
import { cases as driver } from './driver.ts'
import { cases as faultBroker } from './fault-broker.ts'
import { cases as faultConnection } from './fault-connection.ts'
import { cases as faultProcess } from './fault-process.ts'
import { cases as faultServer } from './fault-server.ts'
import { cases as faultWrites } from './fault-writes.ts'
import { cases as flow } from './flow.ts'
import { cases as groups } from './groups.ts'
import { cases as handlers } from './handlers.ts'
import { cases as idempotencyMore } from './idempotency-more.ts'
import { cases as idempotency } from './idempotency.ts'
import { cases as order } from './order.ts'
import { cases as parkedCrashes } from './parked-crashes.ts'
import { cases as parked } from './parked.ts'
import { cases as parkedEdges } from './parked-edges.ts'
import { cases as processes } from './processes.ts'
import { cases as publishing } from './publishing.ts'
import { cases as refusals } from './refusals.ts'
import { cases as retryCount } from './retry-count.ts'
import { cases as retry } from './retry.ts'
import { cases as roundtrip } from './roundtrip.ts'
import { cases as schema } from './schema.ts'
import { cases as stats } from './stats.ts'
import { cases as stop } from './stop.ts'
import { cases as transactions } from './transactions.ts'

const number = ({ id, tier }: Case): number => (tier === 'driver' ? 0 : Number.parseInt(id, 10))

/** In the order of conformance.md, the driver first. */
export const cases: readonly Case[] = [
  driver,
  driverBroker,
  roundtrip,
  groups,
  order,
  retry,
  retryCount,
  deadLetters,
  schema,
  handlers,
  idempotency,
  idempotencyMore,
  publishing,
  flow,
  stop,
  refusals,
  stats,
  faultConnection,
  faultBroker,
  faultProcess,
  faultServer,
  faultWrites,
  processes,
  transactions,
  parked,
  parkedEdges,
  parkedCrashes,
]
  .flat()
  .toSorted((a, b) => number(a) - number(b) || a.id.localeCompare(b.id, 'en', { numeric: true }))
