// The whole suite with the rest of the abilities taken away: settlement, releases and batches as a log has them.
import { memoryHarness, runConformance } from '@polybus/testkit'

for (const ability of ['singleSettle', 'releaseHeaders', 'orderedBatch'])
  await runConformance({ name: 'memory', harness: memoryHarness, without: [ability] })
