import type { Capabilities, ChannelSpec } from '@polybus/core'
import type { Settings } from './options.ts'

/** What brokers take unless told otherwise is a little more. */
const MAX_BYTES = 2 ** 20

export function capabilitiesOf({ channels }: Settings, { name }: Pick<ChannelSpec, 'name'>): Capabilities {
  const maxBytes = Number(channels.get(name)?.config?.['max.message.bytes'] ?? MAX_BYTES)
  return {
    ordering: true,
    groups: 'any',
    from: ['beginning', 'end'],
    delay: { kind: 'ladder' },
    move: 'copy-then-ack',
    settlement: 'prefix',
    // As long as the partition is the member's.
    lease: { ms: null, renewable: false, maxHoldMs: null },
    // The broker takes a commit for a partition of another member: this adapter tells, as soon as it knows.
    lateSettle: 'always',
    // Kafka counts no hand-overs.
    crashGuard: null,
    releaseHeaders: false,
    orderedBatch: true,
    headers: { ordered: true, duplicates: true, empty: true, binary: true },
    tombstones: true,
    maxBytes,
    browse: 'cursor',
    rewind: ['beginning', 'end', 'position', 'time'],
    // Markers of transactions count as messages. Age is by producers' clocks; what other members hold nobody knows.
    stats: { backlog: 'estimate', inFlight: null, oldestAgeMs: 'estimate', deadLetters: 'estimate' },
    persistent: true,
    transactional: true,
    priority: false,
    delayedPublish: false,
    processes: true,
    credentials: true,
  }
}
