import type { Capabilities } from '@polybus/core'
import type { MemoryAbilities } from './state.ts'

export const ALL_ABILITIES: MemoryAbilities = {
  delay: true,
  atomicMove: true,
  singleSettle: true,
  renew: true,
  count: true,
  releaseHeaders: true,
  orderedBatch: true,
}

/** What memory can do; it depends on the abilities taken away, and on nothing of the channel. */
export function capabilitiesOf(abilities: MemoryAbilities, leaseMs: number | null): Capabilities {
  return {
    ordering: true,
    groups: 'any',
    from: ['beginning', 'end'],
    // Ten years: beyond that nobody can tell a delay from a loss.
    delay: abilities.delay ? { kind: 'exact', maxMs: 10 * 365 * 86_400_000 } : { kind: 'ladder' },
    move: abilities.atomicMove ? 'atomic' : 'copy-then-ack',
    settlement: abilities.singleSettle ? 'single' : 'prefix',
    lease: { ms: leaseMs, renewable: leaseMs !== null && abilities.renew, maxHoldMs: null },
    lateSettle: 'always',
    crashGuard: abilities.count ? 10 : null,
    releaseHeaders: abilities.releaseHeaders,
    orderedBatch: abilities.orderedBatch,
    headers: { ordered: true, duplicates: true, empty: true, binary: true },
    tombstones: true,
    maxBytes: null,
    browse: 'cursor',
    rewind: ['beginning', 'end', 'position', 'time'],
    stats: { backlog: 'exact', inFlight: 'exact', oldestAgeMs: 'exact', deadLetters: 'exact' },
    persistent: false,
    // A move is part of it, and a position that waits for those before it is finished apart from what was published.
    transactional: abilities.atomicMove && abilities.singleSettle,
    priority: false,
    delayedPublish: false,
    processes: false,
    credentials: false,
  }
}
