// One publish on its way: its state, and the words for how it ended.
import type { Outgoing } from '../adapter.ts'
import type { PublishReceipt } from '../api.ts'
import type { Backlog } from '../backlog.ts'
import type { Deadlines, Due } from '../deadlines.ts'
import { PolybusError } from '../errors.ts'

/** `sending` is set before `send` is called: only what never was `sending` is certainly not sent. */
export interface Entry extends Due {
  outgoing: Outgoing
  readonly bytes: number
  readonly key: KeyLane | undefined
  readonly timeoutMs: number
  state: 'waiting' | 'queued' | 'sending' | 'settled'
  /** An earlier try may have written it: sticks through later ones. */
  uncertain: boolean
  tries: number
  /** Why the last try failed. */
  failure: PolybusError | undefined
  readonly deadlines: Deadlines<Entry>
  readonly resolve: (receipt: PublishReceipt) => void
  readonly reject: (error: PolybusError) => void
  readonly signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
}

/** The FIFO of a key: one batch in flight, retries at its head. */
export interface KeyLane {
  readonly id: string
  readonly lanes: Map<string, KeyLane>
  /** Entries of the key may share a batch, because the adapter writes none behind one that failed. */
  readonly together: boolean
  /** A batch of it is being sent, or is about to go again. */
  blocked: boolean
  /** One of it stands among the ready ones. */
  listed: boolean
  /** The others, in order. */
  behind: Backlog<Entry> | undefined
  /** Given up since those behind were looked through. */
  stale: number
  /** Entries that are neither settled nor given up, those that wait for room too. */
  live: number
}

/** So many idle keys are kept, to save making them anew for each message. */
const IDLE_LANES = 1024

export function laneOf(lanes: Map<string, KeyLane>, id: string, together: boolean): KeyLane {
  let lane = lanes.get(id)
  if (!lane) {
    lane = { id, lanes, together, blocked: false, listed: false, behind: undefined, stale: 0, live: 0 }
    lanes.set(id, lane)
  }
  return lane
}

export function leaveLane(lane: KeyLane): void {
  if (lane.live === 0 && !lane.blocked && lane.lanes.size > IDLE_LANES) lane.lanes.delete(lane.id)
}

export type GivenUp = 'PUBLISH_TIMEOUT' | 'ABORTED' | 'DROPPED' | 'CLOSED'

/** The error of an entry that is given up before its answer. */
export function givenUp(entry: Entry, why: GivenUp, cause: unknown): PolybusError {
  const unknown = entry.uncertain || entry.state === 'sending'
  const code = unknown && (why === 'PUBLISH_TIMEOUT' || why === 'CLOSED') ? 'PUBLISH_UNCERTAIN' : why
  const { failure } = entry
  const text = failure ? `${describe(code, entry)} Its last try failed: ${failure.message}` : describe(code, entry)
  return new PolybusError(code, text, { sent: unknown ? 'unknown' : 'no', cause: cause ?? failure })
}

/** The error of an entry that the broker or the adapter refused for good. */
export const refused = (entry: Entry, error: PolybusError): PolybusError => {
  const { retryable } = error
  const { groups } = entry.outgoing
  // Others have it: what is missing is certain.
  if (groups)
    return new PolybusError(
      error.code,
      `Message '${entry.outgoing.message.id ?? ''}' is on its way to the other groups of channel '${entry.outgoing.to.channel}', and not to ${groups.map((group) => `'${group}'`).join(', ')}: ${error.message}`,
      { cause: error, sent: 'unknown', retryable },
    )
  return entry.uncertain
    ? new PolybusError(
        'PUBLISH_UNCERTAIN',
        `${describe('PUBLISH_UNCERTAIN', entry)} Its last try failed: ${error.message}`,
        { cause: error, sent: 'unknown' },
      )
    : new PolybusError(error.code, error.message, { cause: error, sent: 'no', retryable })
}

/** Whether a failed try can have written the message. */
export const mayBeSent = ({ sent, retryable, code }: PolybusError): boolean =>
  sent === 'unknown' || (sent === undefined && retryable && code !== 'NOT_ATTEMPTED' && code !== 'BROKER_BUSY')

function describe(code: string, { outgoing }: Entry): string {
  const what = `Message '${outgoing.message.id ?? ''}' for channel '${outgoing.to.channel}'`
  switch (code) {
    case 'PUBLISH_TIMEOUT':
      return `${what} was not sent before its deadline. It is certainly not on the broker: publish it again, or raise publishing.timeout.`
    case 'PUBLISH_UNCERTAIN':
      return `${what} may be on the broker or not. Publish it again with the same id: idempotent consumers absorb the duplicate.`
    case 'DROPPED':
      return `${what} was dropped: the publish buffer is full and whenFull is 'drop-oldest'.`
    case 'CLOSED':
      return `${what} was not sent before the bus closed.`
    default:
      return `${what} was given up: its signal aborted.`
  }
}
