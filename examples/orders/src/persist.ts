import { setTimeout as sleep } from 'node:timers/promises'

const PATIENCE_MS = 60_000
const PAUSE_MS = 200

/** Writes again while the broker is away. */
export async function persist(write: () => Promise<unknown>): Promise<void> {
  const start = performance.now()
  for (;;)
    try {
      await write()
      return
    } catch (error) {
      if (performance.now() - start > PATIENCE_MS) throw error
      await sleep(PAUSE_MS)
    }
}
