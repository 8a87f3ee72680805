// How long before its deadline a publish should leave. Without it a broker that takes less than is published gets the oldest
// ones first, each just before its deadline: all are written, and none is confirmed in time. What has less time left goes last,
// so a guess that is wrong costs nothing.

export interface Headroom {
  /** A batch was answered; `late`: one of it had been given up meanwhile. */
  answered(tookMs: number, late: boolean): void
  /** Of an entry with this time-out. */
  neededMs(timeoutMs: number): number
}

/** How fast it forgets a slow answer. */
const KEEP = 0.75

export function createHeadroom(): Headroom {
  let tookRecentlyMs = 0
  return {
    answered(tookMs, late) {
      // While nothing is late nothing has to be learned.
      if (late) tookRecentlyMs = Math.max(tookRecentlyMs, tookMs)
      else tookRecentlyMs = Math.min(tookRecentlyMs, tookRecentlyMs * KEEP + tookMs * (1 - KEEP))
    },
    // Where every answer takes longer than the time-out, the fresh ones still go before the old ones.
    neededMs: (timeoutMs) => Math.min(tookRecentlyMs, timeoutMs / 2),
  }
}
