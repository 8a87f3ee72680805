import { createInterface } from 'node:readline/promises'
import { stderr } from 'node:process'
import { type Given, type Io, UsageError } from './command.ts'

/**
 * Whether to go on with what cannot be taken back.
 *
 * @throws {UsageError} where there is nobody to ask and `--yes` was not given.
 */
export async function confirm(question: string, given: Given, io: Io): Promise<boolean> {
  if (given.flag('yes')) return true
  if (io.stdin.isTTY !== true)
    throw new UsageError(
      `${question} There is no terminal to answer at: give --yes${given.takes('dry-run') ? ', or look first with --dry-run' : ''}.`,
    )
  const terminal = createInterface({ input: io.stdin, output: stderr })
  // While it reads, the keys are its own: Ctrl-C is to end the command all the same.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: io.signal })
    if (/^y(es)?$/i.test(answer.trim())) return true
    io.say('Nothing was done.')
    return false
  } finally {
    terminal.close()
  }
}
