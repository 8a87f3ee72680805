import type { Capabilities, ChannelSpec } from '@polybus/core'
import type { Settings } from './options.ts'

/** `DelaySeconds` goes no further. */
export const MAX_DELAY_MS = 900_000
/** A message may be kept from others for so long, however often that is extended. */
export const MAX_HOLD_MS = 43_200_000
/** Our own headers of a retry or a dead letter, which come on top of what was published. */
const RESERVE_BYTES = 4096

/** Standard queues without a key, FIFO ones with. */
export function capabilitiesOf({ keyed }: ChannelSpec, { visibilityMs, maxMessageBytes }: Settings): Capabilities {
  return {
    ordering: keyed,
    groups: 'declared',
    // A queue holds what came after it was made.
    from: ['end'],
    delay: keyed ? { kind: 'none' } : { kind: 'exact', maxMs: MAX_DELAY_MS, stepMs: 1000 },
    move: 'copy-then-ack',
    settlement: 'single',
    lease: { ms: visibilityMs, renewable: true, maxHoldMs: MAX_HOLD_MS },
    // A standard queue may answer ok to an old handle; what our own clock knows is always said.
    lateSettle: keyed ? 'always' : 'sometimes',
    // Whatever is given back or runs out counts, and so do the siblings of a FIFO group.
    crashGuard: 10,
    releaseHeaders: false,
    // An entry behind a refused one of its group is written all the same.
    orderedBatch: false,
    // Attributes of other programs come in any order; ours keep theirs.
    headers: { ordered: false, duplicates: true, empty: true, binary: true },
    tombstones: true,
    maxBytes: maxMessageBytes - RESERVE_BYTES,
    browse: 'exclusive',
    rewind: [],
    stats: { backlog: 'estimate', inFlight: 'estimate', oldestAgeMs: null, deadLetters: 'estimate' },
    persistent: true,
    transactional: false,
    priority: false,
    delayedPublish: false,
    processes: true,
    credentials: true,
  }
}
