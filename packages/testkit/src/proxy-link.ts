// One proxied connection: a client, the broker, and a pipe each way.
import type { Socket } from 'node:net'
import { type Clock, sleep } from '@polybus/core'
import { type Pipe, pipe, type Weather } from './proxy-pipe.ts'
import { cutOff } from './proxy-reset.ts'

export interface Link {
  reset(): void
  /** The weather has changed. */
  look(): void
}

/** Whose answers are swallowed. */
export interface Wish {
  /** These bytes of a client are a request whose answer is wanted. */
  wanted(bytes: Buffer): boolean
  /** The answer is here: whether it is swallowed. */
  granted(): boolean
}

const LINGER_MS = 1000
/** A mark may lie across two chunks. */
const OVERLAP = 32

/** `over` is called once, when nothing of it is left. */
export function link(
  client: Socket,
  broker: Socket,
  clock: Clock,
  weather: Weather,
  wish: Wish,
  over: () => void,
): Link {
  let asked = false
  let tail: Buffer = Buffer.alloc(0)
  let pipes: readonly Pipe[] = []
  const end = (): void => {
    over()
    for (const each of pipes) each.stop()
  }
  const reset = (): void => {
    end()
    cutOff(client)
    // Before it is connected there is nothing to reset.
    if (broker.connecting) broker.destroy()
    else cutOff(broker)
  }
  for (const socket of [client, broker]) {
    socket.on('error', reset)
    socket.on('close', () => {
      if (client.destroyed && broker.destroyed) end()
    })
  }
  const request = (chunk: Buffer): boolean => {
    if (asked) return true
    asked = wish.wanted(tail.length > 0 ? Buffer.concat([tail, chunk]) : chunk)
    tail = Buffer.from(chunk.subarray(-OVERLAP))
    return true
  }
  const answer = (): boolean => {
    if (!asked || !wish.granted()) return true
    end()
    cutOff(client)
    // A reset could take from the broker what it has not read yet, and then nothing would be uncertain.
    broker.end()
    broker.resume()
    void sleep(clock, LINGER_MS).then(() => broker.destroy())
    return false
  }
  pipes = [pipe(client, broker, clock, weather, request), pipe(broker, client, clock, weather, answer)]
  return {
    reset,
    look() {
      for (const each of pipes) each.look()
    },
  }
}
