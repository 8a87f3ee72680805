// The whole suite with each ability taken away, so that every emulation in core is exercised.
import { memoryHarness, runConformance } from '@polybus/testkit'

for (const ability of ['delay', 'atomicMove', 'renew', 'count'])
  await runConformance({ name: 'memory', harness: memoryHarness, without: [ability] })
