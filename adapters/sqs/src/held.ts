// What one feed holds a lease on.
import type { Message } from '@aws-sdk/client-sqs'
import { type Clock, createDeadlines, type Due } from '@polybus/core'

export interface Token extends Due {
  readonly native: Message
  readonly handle: string
  readonly position: string
  /** The message group of a FIFO queue. */
  readonly lane: string
  /** Counts up within the feed: what came later in its lane has a higher one. */
  readonly order: number
  readonly bytes: number
  /** When it was asked for. */
  readonly takenAt: number
  /** Settled or lost: no longer ours. */
  live: boolean
  /** By our clock, counted from when it was asked for. */
  endsAt: number
  /** The copy of its move is confirmed. */
  copied: boolean
}

export interface Held {
  readonly size: number
  readonly bytes: number
  add(token: Token): void
  /** It is settled, or lost. */
  drop(token: Token): void
  /** By its MessageId. */
  at(position: string): Token | undefined
  renewed(token: Token, endsAt: number): void
  /** It is being settled: what SQS answers counts, not the end of its lease. */
  settling(token: Token): void
  /** That came to nothing. */
  unsettled(token: Token): void
  all(): readonly Token[]
  /** It, and what came later in its lane, oldest first. */
  suffix(token: Token): readonly Token[]
  stop(): void
}

/** @param over is told of one whose lease is over. */
export function createHeld(clock: Clock, fifo: boolean, over: (token: Token) => void): Held {
  const tokens = new Map<string, Token>()
  let bytes = 0
  const deadlines = createDeadlines<Token>(clock, over)
  return {
    get size() {
      return tokens.size
    },
    get bytes() {
      return bytes
    },
    add(token) {
      tokens.set(token.position, token)
      bytes += token.bytes
      deadlines.add(token, token.endsAt)
    },
    drop(token) {
      token.live = false
      deadlines.remove(token)
      if (tokens.get(token.position) !== token) return
      tokens.delete(token.position)
      bytes -= token.bytes
    },
    at: (position) => tokens.get(position),
    renewed(token, endsAt) {
      if (!token.live) return
      token.endsAt = endsAt
      deadlines.add(token, endsAt)
    },
    settling: (token) => deadlines.remove(token),
    unsettled(token) {
      if (token.live) deadlines.add(token, token.endsAt)
    },
    all: () => [...tokens.values()],
    suffix: (token) =>
      fifo
        ? [...tokens.values()]
            .filter(({ lane, order }) => lane === token.lane && order >= token.order)
            .toSorted((a, b) => a.order - b.order)
        : [token],
    stop() {
      deadlines.drain(() => {})
    },
  }
}
