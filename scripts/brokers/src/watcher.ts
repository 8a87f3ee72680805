// Waits until the owner of a run is gone, then removes what the run left. `node watcher.js RUN`
import { endRun } from './run.ts'

const [, , run = ''] = process.argv
process.stdin.on('error', () => {}).resume()
process.stdin.once('close', () => {
  endRun(run).catch(() => {
    // Nobody listens any more: the next run, `status` and `down` see what is left.
    process.exitCode = 1
  })
})
