import { runStoreConformance } from '../src/testing/index.ts'

await runStoreConformance({ harness: new URL('./harness-memory.ts', import.meta.url) })
