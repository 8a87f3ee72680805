// Vitest's global set-up: the run's brokers begin and end with it.
import { obtain } from './broker.ts'
import { requiredBrokers } from './required.ts'
import { beginRun, deadRuns, endRun } from './run.ts'

export default async function setup(): Promise<() => Promise<void>> {
  const required = requiredBrokers()
  // Before the first test: what must be there is installed, or the run ends here.
  for (const name of required) await obtain(name, console.error)
  for (const run of deadRuns())
    try {
      await endRun(run)
    } catch (error) {
      // No reason not to test: nothing of it is used.
      console.error(`Brokers of ${run}, which was killed, are left: ${(error as Error).message}`)
    }
  const run = beginRun()
  return async () => {
    await run.end()
  }
}
