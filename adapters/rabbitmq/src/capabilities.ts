import type { Capabilities, ChannelSpec } from '@polybus/core'
import type { RabbitmqGroup, Settings } from './options.ts'

/** Major and minor; zeros where it is not known. */
export type Version = readonly [number, number]

export function capabilitiesOf(settings: Settings, spec: ChannelSpec, version: Version): Capabilities {
  const { consumerTimeoutMs, maxMessageBytes } = settings
  return {
    // Without an envelope there is no place for a key.
    ordering: settings.channels.get(spec.name)?.envelope !== 'none',
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
    priority: hasPriority(settings, spec, version),
    delayedPublish: false,
    processes: true,
    credentials: true,
  }
}

/** Where a key's order is promised, an urgent message must not overtake; elsewhere every group's queue has to heed it. */
function hasPriority(settings: Settings, { name, keyed, groups }: ChannelSpec, version: Version): boolean {
  if (keyed) return false
  const options = settings.channels.get(name)?.groups ?? {}
  const all = new Set([...groups, ...Object.keys(options)])
  return all.size === 0
    ? heedsPriority({}, version)
    : [...all].every((group) => heedsPriority(options[group] ?? {}, version))
}

function heedsPriority({ arguments: table = {} }: RabbitmqGroup, [major]: Version): boolean {
  const most = table['x-max-priority']
  if (typeof most === 'number' && most > 0) return true
  return table['x-queue-type'] !== 'classic' && major >= 4
}

/**
 * Quorum queues heed it from RabbitMQ 4.0 on. Our queues of retries and dead letters must not: a message expires only at their
 * head, so one that is urgent would keep another from its time. 5 and more is urgent there.
 */
export const priorityInLine = (priority: number, [major]: Version): number =>
  major >= 4 ? Math.min(priority, 4) : priority
