// Says that a member lives, from one rebalance to the next, whatever its handlers do.
import type { Clock, Timer } from '@polybus/core'
import { isStale, kafkaError, kafkaName } from '../errors.ts'
import type { Coordinated, Link } from './link.ts'

export interface HeartOptions {
  readonly link: Link
  readonly clock: Clock
  readonly coordinator: Coordinated
  readonly memberId: string
  readonly generation: number
  readonly heartbeatMs: number
  readonly sessionTimeoutMs: number
  /** The group rebalances. Heartbeats go on: handlers may still finish. May be told more than once. */
  onRebalance(): void
  /** The session is over, or the group has gone on without it. `known`: the member's id is still good. */
  onLost(known: boolean): void
  onFailed(error: unknown): void
}

/** How soon a heartbeat that did not reach the coordinator is tried again. */
const RETRY_MS = 250
/** The coordinator does not know this member any more, or has gone on without it. */
const FENCED = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'])

export function startHeart(options: HeartOptions): { stop(): void } {
  const { link, clock, coordinator, memberId, generation, heartbeatMs, sessionTimeoutMs } = options
  let over = false
  let heard = clock.now()
  let timer: Timer | undefined

  const next = (afterMs: number): void => {
    if (!over) timer = clock.timer(afterMs, () => void send().catch(options.onFailed))
  }
  const lost = (known: boolean): void => {
    over = true
    options.onLost(known)
  }
  const send = async (): Promise<void> => {
    const at = clock.now()
    // After so long a silence the others have everything, whatever the coordinator will say.
    if (at - heard > sessionTimeoutMs) return lost(true)
    try {
      await link.ask(coordinator, (broker) =>
        broker.heartbeat({ groupId: coordinator.id, memberId, groupGenerationId: generation }),
      )
      heard = at
      next(heartbeatMs)
    } catch (thrown) {
      if (over) return
      const error = kafkaError(thrown, 'no')
      const name = kafkaName(error) ?? ''
      if (name === 'REBALANCE_IN_PROGRESS') {
        heard = at
        options.onRebalance()
        next(heartbeatMs)
      } else if (FENCED.has(name)) lost(name === 'ILLEGAL_GENERATION')
      else if (error.retryable || isStale(error)) {
        link.forget()
        next(Math.min(heartbeatMs, RETRY_MS))
      } else options.onFailed(error)
    }
  }
  next(heartbeatMs)
  return {
    stop() {
      over = true
      timer?.cancel()
    },
  }
}
