// Many commands in one piece. A pipeline of ioredis makes an object, promises and a flat copy of the arguments of each command,
// which is most of what an XADD costs: here they are written at once, and only the replies are counted.
import type { Clock, Timer } from '@polybus/core'
import { Command as Request, type Redis } from 'ioredis'

export type Arg = string | Buffer | number
/** The name of a command and its arguments. */
export type Args = readonly [string, ...Arg[]]
export type Answer = readonly [error: Error | null, value?: unknown]

/**
 * Sends them in order, and resolves with an answer each. Never rejects: what gets no answer has an error in its place.
 * `prepare` may change what ioredis gets of each, before it does.
 */
export function exchange(
  client: Redis,
  commands: readonly Args[],
  clock: Pick<Clock, 'timer'>,
  prepare: (request: Request) => void = () => {},
): Promise<readonly Answer[]> {
  if (commands.length === 0) return Promise.resolve([])
  const data = encode(commands)
  return new Promise((resolve) => {
    const answers: Answer[] = []
    let timer: Timer | undefined
    const add = (answer: Answer): void => {
      // What comes after a time-out belongs to nobody.
      if (answers.length === commands.length || answers.push(answer) < commands.length) return
      timer?.cancel()
      resolve(answers)
    }
    const common = {
      args: [],
      isTraced: true,
      resolve: (value: unknown) => add([null, value]),
      reject: (error: Error) => add([error]),
      toWritable: () => '',
      // Whoever asks has a limit of its own.
      setBlockingTimeout: () => {},
      setTimeout(ms: number) {
        timer ??= clock.timer(ms, () => {
          while (answers.length < commands.length) add([new Error('Command timed out')])
        })
      },
    }
    let accepted = false
    const stream = { isPipeline: true, destination: { redis: client }, write: () => (accepted = true) } as const
    for (const [name] of commands) {
      const request = requestOf(name, common)
      prepare(request)
      void client.sendCommand(request, stream)
    }
    // At once: what waits for the end of the turn lets the server idle while handlers run.
    if (accepted) client.stream.write(data)
  })
}

/** One each, because whoever watches ioredis changes them; but without what its constructor makes. */
const requestOf = (name: string, common: Partial<Request>): Request =>
  Object.assign(Object.create(Request.prototype) as Request, common, { name })

/** Names, sources and types are the same in one command after the other: so many texts are kept as they are written. */
const KNOWN = 64
const KNOWN_LENGTH = 32

/** In the protocol of Redis. Bytes are copied: whose they are may change them as soon as a call is given up. */
function encode(commands: readonly Args[]): string | Buffer {
  // One command has hardly anything twice: the ids of many acknowledgements are all different.
  const known = commands.length > 1 ? new Map<string, string>() : undefined
  const pieces: Buffer[] = []
  let text = ''
  for (const args of commands) {
    text += `*${args.length}\r\n`
    for (const arg of args) {
      if (typeof arg === 'object') {
        pieces.push(Buffer.from(`${text}$${arg.length}\r\n`), arg)
        text = '\r\n'
      } else if (!known || typeof arg === 'number' || arg.length > KNOWN_LENGTH) text += bulk(String(arg))
      else {
        let written = known.get(arg)
        if (written === undefined) {
          written = bulk(arg)
          if (known.size < KNOWN) known.set(arg, written)
        }
        text += written
      }
    }
  }
  return pieces.length === 0 ? text : Buffer.concat([...pieces, Buffer.from(text)])
}

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
