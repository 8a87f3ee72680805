// One direction of a proxied connection: what comes in goes out, later or slower if so told, and never piles up.
import type { Socket } from 'node:net'
import type { Clock, Timer } from '@polybus/core'

/** Read for each chunk, so that a change holds for connections that are already there. */
export interface Weather {
  readonly held: boolean
  readonly delayMs: number
  readonly bytesPerSecond: number | null
}

export interface Pipe {
  /** The weather has changed. */
  look(): void
  stop(): void
}

interface Waiting {
  chunk: Buffer
  readonly due: number
}

/** So much waits in a pipe at most; more stays with the sender. */
const MAX_WAITING = 256 * 1024
/** A throttled pipe writes this often. */
const TICK_MS = 20

/** `take` sees each chunk first, and keeps it from passing by answering false. */
export function pipe(from: Socket, to: Socket, clock: Clock, weather: Weather, take: (chunk: Buffer) => boolean): Pipe {
  const waiting: Waiting[] = []
  let bytes = 0
  let full = false
  let ended = false
  let stopped = false
  let timer: Timer | undefined
  /** When a throttled pipe may write again. */
  let freeAt = 0

  const write = (chunk: Buffer): void => {
    full = !to.write(chunk) || full
  }
  const flow = (): void => {
    if (weather.held || full || bytes >= MAX_WAITING) from.pause()
    else from.resume()
  }
  const look = (): void => {
    timer?.cancel()
    timer = undefined
    if (stopped) return
    while (!weather.held && !full) {
      const [first] = waiting
      if (!first) break
      const now = clock.now()
      const rate = weather.bytesPerSecond
      const wait = Math.max(first.due, rate === null ? 0 : freeAt) - now
      if (wait > 0) {
        timer = clock.timer(wait, look)
        break
      }
      const part =
        rate === null ? first.chunk : first.chunk.subarray(0, Math.max(1, Math.ceil((rate * TICK_MS) / 1000)))
      if (rate !== null) freeAt = Math.max(now, freeAt) + (part.length / rate) * 1000
      bytes -= part.length
      if (part.length === first.chunk.length) waiting.shift()
      else first.chunk = first.chunk.subarray(part.length)
      write(part)
    }
    if (ended && waiting.length === 0 && !weather.held) {
      stopped = true
      to.end()
      return
    }
    flow()
  }

  from.on('data', (chunk: Buffer) => {
    if (stopped || !take(chunk)) return
    if (waiting.length === 0 && !weather.held && !full && weather.delayMs === 0 && weather.bytesPerSecond === null) {
      write(chunk)
      return flow()
    }
    waiting.push({ chunk, due: clock.now() + weather.delayMs })
    bytes += chunk.length
    look()
  })
  from.on('end', () => {
    ended = true
    look()
  })
  to.on('drain', () => {
    full = false
    look()
  })
  flow()
  return {
    look,
    stop() {
      stopped = true
      timer?.cancel()
      waiting.length = 0
      bytes = 0
    },
  }
}
