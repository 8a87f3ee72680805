// What waits behind dead letters, in this process's memory: gone with it, as everything of a broker in memory is.
import { type HeadState, type ParkedLine, type ParkedMessage, type Parking, PolybusError } from '@polybus/core'

interface Line {
  head: ParkedMessage
  state: HeadState
  /** By id, in order of arrival. */
  readonly tail: Map<string, ParkedMessage>
}

/** It answers at once, never by a promise. */
export interface MemoryParking extends Parking {
  enter(line: string, id: string, message: string): 'free' | 'head' | 'parked'
  block(line: string, id: string, message: string): 'head' | 'parked'
  advance(line: string, id: string): ParkedMessage | undefined
  sent(line: string, id: string): void
  head(line: string): (ParkedMessage & { readonly state: HeadState }) | undefined
  list(prefix: string, after: string | undefined, limit: number): readonly ParkedLine[]
}

/** What a message takes beside its text. */
const OVERHEAD = 200

export function memoryParking(maxBytes: number): MemoryParking {
  const lines = new Map<string, Line>()
  let bytes = 0

  const sizeOf = ({ id, message }: ParkedMessage): number => (id.length + message.length) * 2 + OVERHEAD
  const take = (parked: ParkedMessage, instead?: ParkedMessage): ParkedMessage => {
    const more = sizeOf(parked) - (instead ? sizeOf(instead) : 0)
    if (bytes + more > maxBytes)
      throw new PolybusError(
        'STORE_UNAVAILABLE',
        `memoryStore() holds as many parked messages as it may (maxParkedBytes: ${maxBytes}). Replay or discard the dead letters that they wait for, or use a store with a disk.`,
      )
    bytes += more
    return parked
  }
  const park = ({ tail }: Line, id: string, message: string): 'parked' => {
    if (!tail.has(id)) tail.set(id, take({ id, message }))
    return 'parked'
  }

  return {
    durable: false,
    enter(name, id, message) {
      const line = lines.get(name)
      if (!line) return 'free'
      return line.head.id === id ? 'head' : park(line, id, message)
    },
    block(name, id, message) {
      const line = lines.get(name)
      if (!line) lines.set(name, { head: take({ id, message }), state: 'dead', tail: new Map() })
      else if (line.head.id !== id) return park(line, id, message)
      else {
        line.head = take({ id, message }, line.head)
        line.state = 'dead'
      }
      return 'head'
    },
    advance(name, id) {
      const line = lines.get(name)
      if (!line) return undefined
      if (line.head.id === id) {
        bytes -= sizeOf(line.head)
        const [next] = line.tail.values()
        if (!next) {
          lines.delete(name)
          return undefined
        }
        line.tail.delete(next.id)
        line.head = next
        line.state = 'due'
      }
      return line.state === 'due' ? line.head : undefined
    },
    sent(name, id) {
      const line = lines.get(name)
      if (line?.head.id === id && line.state === 'due') line.state = 'sent'
    },
    head(name) {
      const line = lines.get(name)
      return line && { ...line.head, state: line.state }
    },
    list: (prefix, after, limit) =>
      [...lines]
        .filter(([name]) => name.startsWith(prefix) && (after === undefined || name > after))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit)
        .map(([line, { head, state, tail }]) => ({ line, head: head.id, state, waiting: tail.size })),
  }
}
