// What one feed has handed out and is not settled.
import {
  type Clock,
  createChain,
  joinChain,
  leaveChain,
  type Linked,
  listChain,
  type Timer,
  type WireMessage,
} from '@polybus/core'

export interface Token extends Linked<Token> {
  readonly key: string
  /** Which of the lane's streams. */
  readonly where: 'r' | 'm'
  readonly lane: number
  readonly id: string
  /** Unique in the feed. */
  readonly position: string
  readonly message: WireMessage
  readonly bytes: number
  /** Headers of an earlier release lie beside it. */
  readonly noted: boolean
  live: boolean
  /** By our clock; Infinity where its lane is what is leased. */
  endsAt: number
}

/** Under which name a note of it lies. */
export const noteOf = ({ where, lane, id }: Pick<Token, 'where' | 'lane' | 'id'>): string => `${where}${lane}/${id}`

export interface Held {
  readonly size: number
  readonly bytes: number
  add(token: Token): void
  /** It is settled, or lost. */
  drop(token: Token): void
  /** By position; made for the question. */
  named(): ReadonlyMap<string, Token>
  renewed(token: Token, endsAt: number): void
  all(): readonly Token[]
  stop(): void
}

/** @param lost is told of those whose lease is over. */
export function createHeld(clock: Clock, lost: (tokens: readonly Token[]) => void): Held {
  // In the order in which their leases end: all leases of a feed are equally long.
  const tokens = createChain<Token>()
  let bytes = 0
  let timer: Timer | undefined

  const watch = (): void => {
    const next = tokens.first
    if (timer || !next || next.endsAt === Infinity) return
    timer = clock.timer(next.endsAt - clock.now(), () => {
      timer = undefined
      const over: Token[] = []
      const now = clock.now()
      for (let token = tokens.first; token && token.endsAt <= now; token = token.after) over.push(token)
      if (over.length > 0) lost(over)
      watch()
    })
  }
  return {
    get size() {
      return tokens.size
    },
    get bytes() {
      return bytes
    },
    add(token) {
      joinChain(tokens, token)
      bytes += token.bytes
      watch()
    },
    drop(token) {
      token.live = false
      if (leaveChain(tokens, token)) bytes -= token.bytes
    },
    named: () => new Map(listChain(tokens).map((token) => [token.position, token])),
    renewed(token, endsAt) {
      // It may have come again meanwhile, as another delivery.
      if (!leaveChain(tokens, token)) return
      token.endsAt = endsAt
      joinChain(tokens, token)
    },
    all: () => listChain(tokens),
    stop() {
      timer?.cancel()
    },
  }
}
