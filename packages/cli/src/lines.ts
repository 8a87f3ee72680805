// Lines of JSON from a file, or from stdin where it is `-`.
import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { type Io, UsageError } from './command.ts'

export interface Line {
  /** From 1. */
  readonly number: number
  readonly text: string
}

/** No message is so long: what has no line ends is no file of lines. */
const LONGEST = 64 * 2 ** 20

/** Without empty ones. @throws {UsageError} where the file cannot be read. */
export async function* linesOf(file: string, io: Io): AsyncGenerator<Line> {
  const input = file === '-' ? io.stdin : createReadStream(resolve(io.directory, file))
  const stop = (): void => void input.destroy()
  io.signal.addEventListener('abort', stop)
  try {
    let number = 0
    for await (const text of split(input)) {
      number++
      if (text.trim() !== '') yield { number, text }
    }
  } catch (error) {
    io.signal.throwIfAborted()
    throw isOfSystem(error) ? new UsageError(`${file} cannot be read: ${error.message}`) : error
  } finally {
    io.signal.removeEventListener('abort', stop)
    stop()
  }
}

const isOfSystem = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'syscall' in error

/** Not by readline, which also ends lines at U+2028 and U+2029: JSON may hold them. */
async function* split(input: Readable): AsyncGenerator<string> {
  input.setEncoding('utf8')
  let rest = ''
  for await (const chunk of input) {
    rest += chunk as string
    if (rest.length > LONGEST) throw new UsageError('A line is longer than 64 MiB.')
    const parts = rest.split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
  if (rest !== '') yield rest
}

export function parseLine({ number, text }: Line): unknown {
  try {
    return JSON.parse(number === 1 ? text.replace(/^\uFEFF/, '') : text) as unknown
  } catch (error) {
    throw new UsageError(`line ${number} is no JSON: ${(error as Error).message}`)
  }
}
