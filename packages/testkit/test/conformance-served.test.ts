// The executable reference behind a socket: what its connections, proxies and processes do to it is real.
import { runConformance } from '../src/index.ts'

const harness = new URL('./served/harness.ts', import.meta.url)
await runConformance({ name: 'served', harness })
// As a log it has lanes by membership.
await runConformance({
  name: 'served',
  harness,
  without: ['singleSettle'],
  only: ['2', '4', '13', '17', '18', '19', '20'],
})
