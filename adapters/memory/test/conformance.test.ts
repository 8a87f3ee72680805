// The whole suite against the executable reference, at full ability.
import { memoryHarness, runConformance } from '@polybus/testkit'

await runConformance({ name: 'memory', harness: memoryHarness })
