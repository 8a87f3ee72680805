// Notices a subscription that receives nothing although it could: a hung receive, or a deliverable backlog in its own lanes.
import type { Feed } from '../adapter.ts'
import type { Clock, Timer } from '../clock.ts'
import { PolybusError } from '../errors.ts'

export interface StallOptions {
  readonly clock: Clock
  readonly feed: Feed
  /** There are free places, nothing is held, and nobody paused it: else there is no stall. */
  readonly free: () => boolean
  readonly signal: AbortSignal
  readonly onStall: (error: PolybusError) => void
  /** Looked at and found idle: an earlier stall is over. */
  readonly onIdle: () => void
}

export interface StallDetector {
  receiving(): void
  received(count: number): void
  end(): void
}

const CHECK_MS = 5000
/** A receive waits about a second: one that takes so long hangs. */
const HUNG_MS = 15_000
/** With the check's interval below the 30 s that are promised. */
const QUIET_MS = 20_000

export function createStallDetector({ clock, feed, free, signal, onStall, onIdle }: StallOptions): StallDetector {
  let timer: Timer | undefined
  let asking: number | undefined
  let last = clock.now()
  let ended = false

  const check = async (): Promise<void> => {
    const now = clock.now()
    // It was asked with room: whatever is held meanwhile does not excuse it.
    if (asking !== undefined && now - asking >= HUNG_MS)
      onStall(
        new PolybusError(
          'STALLED',
          `The broker has not answered a receive for ${Math.round((now - asking) / 1000)} s.`,
        ),
      )
    else if (!free()) last = now
    else if (now - last >= QUIET_MS && feed.backlog) {
      const backlog = await feed.backlog({ signal }).catch(() => null)
      if (ended || now - last < QUIET_MS) return
      if (backlog !== null && backlog > 0)
        onStall(
          new PolybusError(
            'STALLED',
            `Nothing was received for ${Math.round((now - last) / 1000)} s although ${backlog} messages wait.`,
          ),
        )
      else onIdle()
    }
  }
  const again = (): void => {
    timer = clock.timer(CHECK_MS, () => {
      // check never rejects: what the broker answers is caught there.
      void check().then(() => {
        if (!ended) again()
      })
    })
  }
  again()

  return {
    receiving() {
      asking = clock.now()
    },
    received(count) {
      asking = undefined
      if (count > 0) last = clock.now()
    },
    end() {
      ended = true
      timer?.cancel()
    },
  }
}
