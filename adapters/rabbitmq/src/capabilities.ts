import type { Capabilities } from '@polybus/core'
import type { Settings } from './options.ts'

export function capabilitiesOf({ consumerTimeoutMs, maxMessageBytes }: Settings): Capabilities {
  return {
    ordering: true,
    groups: 'any',
    // A queue holds what came after it was made.
    from: ['end'],
    delay: { kind: 'ladder' },
    move: 'copy-then-ack',
    settlement: 'single',
    // What is fetched ahead waits too, and the server's time-out counts from then.
    lease: { ms: null, renewable: false, maxHoldMs: Math.floor((consumerTimeoutMs * 2) / 3) },
    // An ack has no answer: only a channel that is known to be closed tells.
    lateSettle: 'sometimes',
    // A crash counts for all that was fetched ahead, not only for what ran.
    crashGuard: 10,
    releaseHeaders: false,
    orderedBatch: false,
    headers: { ordered: false, duplicates: false, empty: true, binary: true },
    tombstones: true,
    maxBytes: maxMessageBytes,
    browse: 'exclusive',
    rewind: [],
    stats: { backlog: 'estimate', inFlight: null, oldestAgeMs: null, deadLetters: 'estimate' },
    persistent: true,
    transactional: false,
    priority: false,
    delayedPublish: false,
    processes: true,
    credentials: true,
  }
}
