// From an outcome to what is done with the delivery: settled, held, handed to the broker's delay, or given back.
import type { Capabilities, ChannelSpec, Destination } from '../adapter.ts'
import type { BusEvent } from '../api.ts'
import type { PolybusError } from '../errors.ts'
import type { DecidePolicy, Outcome } from './decide.ts'
import { nextHop } from './delay.ts'
import { type Flight, foreignId, onEnded } from './flight.ts'
import { deadLetterHeaders, progressHeaders, readProgress } from './progress.ts'
import type { Scheduler } from './scheduler.ts'

export interface OutcomesOptions {
  readonly channel: ChannelSpec
  readonly group: string
  readonly capabilities: Capabilities
  readonly policy: DecidePolicy
  readonly scheduler: Scheduler
  readonly isStopping: () => boolean
  readonly event: (kind: BusEvent['kind'], error?: unknown) => void
  /** A store or a registry is away: nothing starts for so long. */
  readonly shut: (delayMs: number, error: PolybusError | undefined) => void
}

export interface Outcomes {
  perform(flight: Flight, outcome: Outcome): void
  /** Back to the broker unfinished, with its count of attempts wherever that can travel. */
  giveBack(flight: Flight): void
  /** A rung or a hop of a longer delay is over; what remains is the broker's again, or short enough to hold. */
  delayFurther(flight: Flight): void
}

export function createOutcomes(options: OutcomesOptions): Outcomes {
  const { channel, group, capabilities, policy, scheduler, isStopping, event, shut } = options

  const perform = (flight: Flight, outcome: Outcome): void => {
    const { owner, delivery, progress } = flight
    switch (outcome.kind) {
      case 'ack':
        if (outcome.duplicate) event('duplicate')
        return owner.finish(
          flight,
          flight.outputs
            ? { token: delivery.token, kind: 'ack', outputs: flight.outputs }
            : { token: delivery.token, kind: 'ack' },
        )
      case 'park':
        event('parked')
        return owner.finish(flight, { token: delivery.token, kind: 'ack' })
      case 'retry':
        event('retry', outcome.error)
        return outcome.wait === 'released' ? release(flight, outcome.delayMs) : hold(flight, outcome.delayMs)
      case 'postpone':
        if (outcome.gate) shut(outcome.delayMs, outcome.error)
        return hold(flight, outcome.delayMs)
      case 'dead-letter': {
        announce(flight, 'dead-letter', outcome.error)
        const to: Destination = { kind: 'dead-letter', channel: channel.name, group }
        const headers = deadLetterHeaders(progress, foreignId(flight), outcome.reason, outcome.error)
        return owner.finish(flight, { token: delivery.token, kind: 'move', to, headers })
      }
      case 'discard':
        announce(flight, 'discard', outcome.error)
        return owner.finish(flight, { token: delivery.token, kind: 'ack' })
    }
  }
  /** When the broker has it, not before. */
  const announce = (flight: Flight, kind: 'dead-letter' | 'discard', error: unknown): void =>
    onEnded(flight, (how) => {
      if (how === 'gone') event(kind, error)
    })
  const hold = (flight: Flight, delayMs: number): void => {
    if (isStopping() || flight.revoked) return giveBack(flight)
    const { owner } = flight
    if (!owner.apply(flight, 'wait')) return
    owner.wait(flight, delayMs, () => {
      if (owner.apply(flight, 'requeue')) scheduler.resume(flight)
    })
  }
  /** The wait is the broker's: a copy that comes back to this group alone. */
  const release = (flight: Flight, delayMs: number): void => {
    const hop = nextHop(delayMs, capabilities.delay) ?? { delayMs: 0, restMs: 0 }
    const to: Destination = { kind: 'group', channel: channel.name, group, delayMs: hop.delayMs }
    const headers = progressHeaders({ ...flight.progress, delayMs: hop.restMs }, foreignId(flight))
    flight.owner.finish(flight, { token: flight.delivery.token, kind: 'move', to, headers })
  }
  const giveBack = (flight: Flight): void => {
    const { owner, delivery, progress } = flight
    const { token, message } = delivery
    const counted = progress.made > readProgress(message).made
    if (counted && capabilities.releaseHeaders) {
      const headers = progressHeaders(progress, foreignId(flight))
      return owner.finish(flight, { token, kind: 'release', headers })
    }
    // A key's order matters more than the count: the broker then hands it out as new.
    const inOrder = capabilities.ordering && channel.keyed
    if (counted && !inOrder && capabilities.delay.kind !== 'none') return release(flight, 0)
    owner.finish(flight, { token, kind: 'release' })
  }
  const delayFurther = (flight: Flight): void => {
    const { owner, progress } = flight
    const { delayMs } = progress
    if (delayMs >= policy.heldBelowMs && nextHop(delayMs, capabilities.delay)) return release(flight, delayMs)
    flight.progress = { ...progress, delayMs: 0 }
    if (!owner.apply(flight, 'wait')) return
    owner.wait(flight, delayMs, () => {
      if (owner.apply(flight, 'requeue')) scheduler.add(flight)
    })
  }

  return { perform, giveBack, delayFurther }
}
