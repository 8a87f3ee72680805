import { runStoreConformance } from '../src/testing/index.ts'

await runStoreConformance({ harness: new URL('./harness-sqlite.ts', import.meta.url) })
await runStoreConformance({ harness: new URL('./harness-sqlite-claims.ts', import.meta.url) })
