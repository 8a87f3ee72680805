// What a consumer could not read, counted: schemas drift apart without anybody looking.
import type { Drift } from '../api.ts'
import type { Clock } from '../clock.ts'
import { describeError } from '../errors.ts'
import type { AttemptResult } from './decide.ts'
import type { Flight } from './flight.ts'

type Refused = Extract<AttemptResult, { readonly kind: 'refused' }>

export function createDrift(
  channel: string,
  group: string,
  clock: Pick<Clock, 'wall'>,
): { note(flight: Flight, result: Refused): void; read(): Drift | undefined } {
  const counts = { undecodable: 0, invalid: 0 }
  let last: Drift['last'] | undefined
  return {
    note({ delivery }, { reason, error }) {
      if (reason !== 'undecodable' && reason !== 'invalid') return
      counts[reason]++
      last = { id: delivery.message.id ?? '', at: new Date(clock.wall()), reason: describeError(error).message }
    },
    read: () => last && { channel, group, ...counts, last },
  }
}
