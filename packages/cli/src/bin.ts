#!/usr/bin/env node
// The process around a call: streams, signals, and its end.
import { systemClock } from '@polybus/core'
import { type Io, PipeClosed } from './command.ts'
import { harmless } from './harmless.ts'
import { run } from './run.ts'

const { stdin, stdout, stderr } = process
const ending = new AbortController()
const { signal } = ending
let killedBy: number | undefined

for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.on(name, () => {
    // Whoever asks twice does not want to wait for what is under way.
    if (killedBy !== undefined) process.exit(code)
    killedBy = code
    ending.abort(new Error(name))
  })
stdout.on('error', (error: NodeJS.ErrnoException) => {
  const closed = error.code === 'EPIPE'
  if (!closed) io.say(`polybus: stdout: ${error.message}`)
  ending.abort(closed ? new PipeClosed() : error)
})

let status = ''
const show = (line: string): void => {
  if (stderr.isTTY) stderr.write(`\r\u001b[K${line}`)
  status = line
}
const io: Io = {
  clock: systemClock(),
  directory: process.cwd(),
  stdin,
  columns: stdout.isTTY ? stdout.columns : undefined,
  interactive: stderr.isTTY,
  signal,
  async out(line) {
    signal.throwIfAborted()
    if (stdout.write(`${harmless(line)}\n`)) return
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => reject(signal.reason as Error)
      stdout.once('drain', () => {
        signal.removeEventListener('abort', stop)
        resolve()
      })
      signal.addEventListener('abort', stop, { once: true })
    })
  },
  say(line) {
    const before = status
    if (before !== '') show('')
    stderr.write(`${harmless(line)}\n`)
    if (before !== '') show(before)
  },
  status(line) {
    if (stderr.isTTY && line !== status) show(line.slice(0, (stderr.columns || 80) - 1))
  },
}

const code = await run(process.argv.slice(2), io)
io.status('')
// What clients leave open must not keep a command that is done.
await new Promise<void>((resolve) => {
  stdout.write('', () => resolve())
})
process.exit(killedBy ?? code)
