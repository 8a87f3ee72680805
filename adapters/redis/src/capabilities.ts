import type { Capabilities, ChannelSpec } from '@polybus/core'
import { isBare } from './fields.ts'
import type { Settings } from './options.ts'

/** Of the versions in docker-compose.yml, before a server was seen. */
const ASSUMED = [7, 4] as const

export function capabilitiesOf(
  { name, keyed }: ChannelSpec,
  { leaseMs, channels }: Settings,
  [major, minor]: readonly [number, number] = ASSUMED,
): Capabilities {
  const options = channels.get(name) ?? {}
  const bare = isBare(options)
  return {
    // Without an envelope the key needs a field of its own.
    ordering: !bare || options.keyField !== undefined,
    groups: 'any',
    from: ['beginning', 'end'],
    // Ten years: beyond that nobody can tell a delay from a loss.
    delay: { kind: 'exact', maxMs: 10 * 365 * 86_400_000 },
    move: 'atomic',
    settlement: 'single',
    // A keyed channel's deliveries stay ours as long as their lane does, which the adapter renews itself.
    lease: keyed ? { ms: null, renewable: false, maxHoldMs: null } : { ms: leaseMs, renewable: true, maxHoldMs: null },
    // A plain XACK is not told that somebody else took the entry: what our own clock cannot know stays unsaid.
    lateSettle: 'sometimes',
    crashGuard: 10,
    releaseHeaders: true,
    orderedBatch: true,
    headers: { ordered: true, duplicates: true, empty: true, binary: true },
    tombstones: !bare,
    // proto-max-bulk-len, as servers have it unless told otherwise.
    maxBytes: 512 * 2 ** 20,
    browse: 'cursor',
    rewind: ['beginning', 'end', 'position', 'time'],
    // Redis 6.2 tells no lag: there the adapter counts, up to ten thousand a stream. That of 7.0 is too high after a crash.
    stats: {
      backlog: major > 7 || (major === 7 && minor >= 4) ? 'exact' : 'estimate',
      inFlight: 'exact',
      oldestAgeMs: 'exact',
      deadLetters: 'exact',
    },
    persistent: true,
    transactional: false,
    priority: false,
    delayedPublish: false,
    processes: true,
    credentials: true,
  }
}
