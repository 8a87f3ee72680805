import { type ErrorCode, PolybusError } from '@polybus/core'

const named = (name: string | undefined): string => `The memory broker${name === undefined ? '' : ` '${name}'`}`

/** Nobody answers. `sent: 'unknown'` where the broker may have done what was asked. */
export const connectionFailed = (broker: string | undefined, sent?: 'no' | 'unknown'): PolybusError =>
  new PolybusError('CONNECTION_FAILED', `${named(broker)} cannot be reached, or the connection was cut.`, { sent })

export const aborted = (sent?: 'no' | 'unknown'): PolybusError => new PolybusError('ABORTED', undefined, { sent })

export const closed = (text = 'This memory adapter is closed.'): PolybusError =>
  new PolybusError('CLOSED', text, { sent: 'no' })

export const leaseLost = (position: string): PolybusError =>
  new PolybusError('LEASE_LOST', `The delivery of ${position} is no longer ours: its lease ran out or its lane moved.`)

export const feedBroken = (text: string): PolybusError => new PolybusError('FEED_BROKEN', text)

/** `retryable`: whoever asks may create it and try again. */
export const channelMissing = (channel: string, mayCreate: boolean): PolybusError =>
  new PolybusError('TOPOLOGY_MISSING', `The memory broker has no channel '${channel}'.`, {
    retryable: mayCreate,
    sent: 'no',
  })

export const groupMissing = (channel: string, group: string, code: ErrorCode = 'UNKNOWN_GROUP'): PolybusError =>
  new PolybusError(code, `The channel '${channel}' has no group '${group}' on the memory broker.`, { sent: 'no' })

export const busy = (what: string): PolybusError =>
  new PolybusError('BROKER_BUSY', `${what} Consume them, or give memory() a larger maxBacklog.`, { sent: 'no' })

export const notAttempted = (): PolybusError => new PolybusError('NOT_ATTEMPTED', undefined, { sent: 'no' })

export const unsupportedDelay = (delayMs: number): PolybusError =>
  new PolybusError(
    'UNSUPPORTED',
    `This memory broker has no exact delays: ${delayMs} ms is none of the rungs 1 s, 10 s, 1 min and 10 min.`,
    { sent: 'no' },
  )
