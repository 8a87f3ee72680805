// At most once: decode, acknowledge for good, then the handler, one attempt. What it throws is counted, never tried again.
import type { BusEvent } from '../api.ts'
import { isPromise } from '../maybe.ts'
import type { Attempt } from './attempt.ts'
import type { AttemptResult } from './decide.ts'
import type { Decoded } from './decode.ts'
import { type Flight, onEnded } from './flight.ts'
import type { Scheduler } from './scheduler.ts'

export interface AtMostOnceSteps {
  readonly attempt: Attempt
  readonly scheduler: Scheduler
  /** What cannot be decoded goes the ordinary way, to the dead letters. */
  readonly conclude: (result: AttemptResult) => void
  readonly event: (kind: BusEvent['kind'], error?: unknown) => void
  readonly ended: () => void
  /** Handlers that run after their acknowledgement, so that a stop can abort them. */
  readonly acknowledged: Set<Flight>
}

export function startAtMostOnce(flight: Flight, steps: AtMostOnceSteps): void {
  const { attempt, scheduler, conclude, event, ended, acknowledged } = steps
  const finish = (result?: AttemptResult): void => {
    acknowledged.delete(flight)
    if (result && result.kind !== 'done') event('failed', 'error' in result ? result.error : undefined)
    scheduler.leaveKey(flight)
    scheduler.leaveSlot()
    ended()
  }
  const decided = (decoded: Decoded): void => {
    if (!decoded.ok) return conclude(decoded.result)
    if (flight.state !== 'running') return finish()
    onEnded(flight, (how) => {
      // Not acknowledged: somebody else will get it.
      if (how === 'lost') return finish()
      acknowledged.add(flight)
      attempt.handle(flight, decoded.value, (_, result) => finish(result))
    })
    flight.owner.finish(flight, { token: flight.delivery.token, kind: 'ack' })
  }
  const decoded = attempt.decode(flight)
  if (isPromise(decoded)) void decoded.then(decided)
  else decided(decoded)
}
