// A dead letter as the broker keeps it, and as people work with it.
import type { RawDeadLetter } from '../adapter.ts'
import type { DeadLetter, Selection } from '../api.ts'
import type { Decode } from '../consume/decode.ts'
import { foreignHeaders, HEADER, readHeader, readProgress } from '../consume/progress.ts'
import type { PolybusError } from '../errors.ts'
import type { WireMessage } from '../message.ts'
import { viewMessage } from '../view.ts'

const date = (text: string | undefined, otherwise: number): Date => {
  const parsed = text === undefined ? NaN : Date.parse(text)
  return new Date(Number.isNaN(parsed) ? otherwise : parsed)
}

export interface ReadLetter {
  readonly letter: DeadLetter<unknown>
  /** Why its value cannot be read just now. */
  readonly unread: PolybusError | undefined
}

export async function readLetter({ message, position }: RawDeadLetter, decode: Decode): Promise<ReadLetter> {
  const { headers } = message
  const progress = readProgress(message)
  const id = progress.id ?? message.id ?? position
  const decoded = await decode(message)
  const at = message.time ?? 0
  const letter: DeadLetter<unknown> = {
    id,
    message: viewMessage(message, id, progress.origin ?? position),
    value: decoded.ok ? decoded.value : undefined,
    // What the broker itself put there has no reason of ours.
    reason: readHeader(headers, HEADER.reason) ?? 'broker',
    error: {
      name: readHeader(headers, HEADER.errorName) ?? '',
      message: readHeader(headers, HEADER.errorMessage) ?? '',
    },
    attempts: progress.made,
    firstFailedAt: date(progress.firstFailedAt, at),
    lastFailedAt: date(progress.lastFailedAt, at),
    wire: progress.id === undefined && message.source === undefined ? withId(message, id) : message,
  }
  const away = !decoded.ok && decoded.result.kind === 'unavailable' ? decoded.result.error : undefined
  return { letter, unread: away }
}

/** A foreign message keeps the id that it was given: elsewhere its position is another one. */
const withId = (message: WireMessage, id: string): WireMessage => ({
  ...message,
  headers: [...message.headers, [HEADER.id, id]],
})

export function matches(letter: DeadLetter<unknown>, selection: Selection): boolean {
  if ('ids' in selection) return selection.ids.includes(letter.id)
  const { reason, errorName, key, since, until } = selection
  return (
    (reason === undefined || letter.reason === reason) &&
    (errorName === undefined || letter.error.name === errorName) &&
    (key === undefined || letter.message.key === key) &&
    (since === undefined || letter.lastFailedAt >= since) &&
    (until === undefined || letter.lastFailedAt <= until)
  )
}

/** The message as it was, with a new count of attempts. */
export function replayed(message: WireMessage): WireMessage {
  const progress = readProgress(message)
  const ours: [string, string][] = [[HEADER.replays, String(progress.replays + 1)]]
  // A foreign message keeps the id that it was given: its position is another one now.
  const id = progress.id ?? (message.source === undefined ? message.id : undefined)
  if (id !== undefined) ours.push([HEADER.id, id])
  if (progress.origin !== undefined) ours.push([HEADER.origin, progress.origin])
  if (progress.line !== undefined) ours.push([HEADER.line, progress.line])
  return { ...message, headers: [...foreignHeaders(message.headers), ...ours] }
}
