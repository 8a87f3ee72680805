import { spawn } from 'node:child_process'
import { beginRun } from './run.ts'

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** Runs the command as a test run. Answers its exit code, or 128 and the number of what killed it. */
export async function runCommand([program = '', ...args]: readonly string[]): Promise<number> {
  const run = beginRun()
  try {
    const child = spawn(program, args, { stdio: 'inherit' })
    // The command decides what a signal means; then it is cleaned up after.
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
    for (const signal of SIGNALS) process.on(signal, forward)
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)))
    })
  } finally {
    await run.end()
  }
}
