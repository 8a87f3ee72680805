// One call of the command line: words in, exit code out.
import { describeError, PolybusError } from '@polybus/core'
import { type Command, type Io, PipeClosed, UNUSABLE, UsageError } from './command.ts'
import { COMMANDS } from './commands/index.ts'
import { find, readGiven, unknownCommand } from './given.ts'
import { helpOf, overview } from './help.ts'
import { orAborted } from './or-aborted.ts'
import { version } from './version.ts'

/** Codes of errors that say: not like this, or not this broker. */
const UNUSABLE_CODES: readonly string[] = [
  'ACCESS_DENIED',
  'ADAPTER_BROKEN',
  'ADAPTER_MISSING',
  'AUTHENTICATION_FAILED',
  'CONNECTION_FAILED',
  'CONNECT_TIMEOUT',
  'HAZARD',
  'INCOMPATIBLE_ADAPTER',
  'INVALID_OPTION',
  'REGISTRY_UNAVAILABLE',
  'TOPOLOGY_CONFLICT',
  'TOPOLOGY_MISSING',
  'UNKNOWN_GROUP',
  'UNSUPPORTED',
]

/**
 * Runs a command and resolves with its exit code; errors are told on stderr, in one line.
 *
 * @example
 * process.exitCode = await run(['dlq', 'ls', 'orders', 'charge'], io)
 */
export async function run(words: readonly string[], io: Io): Promise<number> {
  let command: Command | undefined
  const verbose = words.includes('--verbose')
  try {
    const [first] = words
    if (first === undefined) {
      io.say(overview(COMMANDS))
      return UNUSABLE
    }
    if (first === '--version') return await print(io, version())
    const asked = first === 'help' ? words.slice(1) : words
    const help = first === 'help' || words.includes('--help')
    const found = find(COMMANDS, asked)
    if (!found) {
      if (help && asked.every((word) => word.startsWith('-'))) return await print(io, overview(COMMANDS))
      const group = COMMANDS.filter(({ name }) => name.startsWith(`${asked[0]} `))
      if (help && group.length > 0 && asked.slice(1).every((word) => word.startsWith('-')))
        return await print(io, overview(group))
      throw unknownCommand(COMMANDS, asked)
    }
    command = found.command
    if (help) return await print(io, helpOf(command))
    const running = command.run(readGiven(command, found.rest), io)
    // Nothing of a registry is half done: a request that hangs is not waited for.
    return await (command.brokerless ? orAborted(running, io.signal) : running)
  } catch (error) {
    if (io.signal.aborted) return io.signal.reason instanceof PipeClosed && (command?.looks ?? true) ? 0 : 1
    return told(error, io, verbose)
  }
}

async function print(io: Io, text: string): Promise<number> {
  await io.out(text)
  return 0
}

function told(error: unknown, io: Io, verbose: boolean): number {
  const usage = error instanceof UsageError
  const { name, message } = describeError(error)
  const text = (usage || PolybusError.is(error) ? message : `${name}: ${message}`)
    .replace(/\s*\n\s*/g, ' ')
    .replace(/^connect\(\)\.(broker|namespace)/, '--$1')
  io.say(`polybus: ${text}`)
  if (verbose && error instanceof Error && error.stack !== undefined) io.say(error.stack)
  return usage || (PolybusError.is(error) && UNUSABLE_CODES.includes(error.code)) ? UNUSABLE : 1
}
