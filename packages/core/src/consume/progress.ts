// What is known of a message's earlier attempts, and the headers that carry it from copy to copy.
import type { Headers, WireMessage } from '../message.ts'
import { describeError } from '../errors.ts'

export const HEADER = {
  /** Attempts made so far. */
  attempt: 'polybus-attempt',
  /** Milliseconds that remain of a delay after this rung or hop. */
  delay: 'polybus-delay',
  /** The id that a foreign message was given; frozen into the first copy that we make. */
  id: 'polybus-id',
  reason: 'polybus-reason',
  errorName: 'polybus-error-name',
  errorMessage: 'polybus-error-message',
  origin: 'polybus-origin',
  firstFailed: 'polybus-first-failed',
  lastFailed: 'polybus-last-failed',
  replays: 'polybus-replays',
  /** The id of a message in the line of its key, of one that is or was parked. */
  line: 'polybus-line',
} as const

const PREFIX = 'polybus-'
const MAX_ERROR_CHARACTERS = 1000

export interface Progress {
  readonly made: number
  readonly delayMs: number
  readonly id: string | undefined
  readonly firstFailedAt: string | undefined
  readonly lastFailedAt: string | undefined
  readonly origin: string | undefined
  readonly replays: number
  readonly line: string | undefined
}

export const FRESH: Progress = {
  made: 0,
  delayMs: 0,
  id: undefined,
  firstFailedAt: undefined,
  lastFailedAt: undefined,
  origin: undefined,
  replays: 0,
  line: undefined,
}

const isOurs = (name: string): boolean => name.startsWith(PREFIX)

export function readHeader(headers: Headers, name: string): string | undefined {
  for (let index = headers.length - 1; index >= 0; index--) {
    const header = headers[index]
    if (header && header[0] === name)
      return typeof header[1] === 'string' ? header[1] : Buffer.from(header[1]).toString('utf8')
  }
  return undefined
}

const count = (text: string | undefined): number => {
  const value = Number(text)
  return text !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : 0
}

/** Most messages have no header of ours: those share one object. */
export function readProgress({ headers }: WireMessage): Progress {
  if (headers.length === 0 || !headers.some(([name]) => isOurs(name))) return FRESH
  return {
    made: count(readHeader(headers, HEADER.attempt)),
    delayMs: count(readHeader(headers, HEADER.delay)),
    id: readHeader(headers, HEADER.id),
    firstFailedAt: readHeader(headers, HEADER.firstFailed),
    lastFailedAt: readHeader(headers, HEADER.lastFailed),
    origin: readHeader(headers, HEADER.origin),
    replays: count(readHeader(headers, HEADER.replays)),
    line: readHeader(headers, HEADER.line),
  }
}

/** One more attempt failed. */
export const failedOnce = (progress: Progress, nowIso: string, position: string): Progress => ({
  ...progress,
  made: progress.made + 1,
  firstFailedAt: progress.firstFailedAt ?? nowIso,
  lastFailedAt: nowIso,
  origin: progress.origin ?? position,
})

/** The headers of ours for a copy that is tried again. `foreignId`: see {@link HEADER.id}. */
export function progressHeaders(progress: Progress, foreignId: string | undefined): [string, string][] {
  const headers: [string, string][] = []
  const id = progress.id ?? foreignId
  if (id !== undefined) headers.push([HEADER.id, id])
  if (progress.made > 0) headers.push([HEADER.attempt, String(progress.made)])
  if (progress.delayMs > 0) headers.push([HEADER.delay, String(progress.delayMs)])
  if (progress.origin !== undefined) headers.push([HEADER.origin, progress.origin])
  if (progress.firstFailedAt !== undefined) headers.push([HEADER.firstFailed, progress.firstFailedAt])
  if (progress.lastFailedAt !== undefined) headers.push([HEADER.lastFailed, progress.lastFailedAt])
  if (progress.replays > 0) headers.push([HEADER.replays, String(progress.replays)])
  if (progress.line !== undefined) headers.push([HEADER.line, progress.line])
  return headers
}

/** The headers of ours for a dead letter. */
export function deadLetterHeaders(
  progress: Progress,
  foreignId: string | undefined,
  reason: string,
  error: unknown,
): [string, string][] {
  const { name, message } = describeError(error)
  return [
    ...progressHeaders({ ...progress, delayMs: 0 }, foreignId),
    [HEADER.reason, reason],
    [HEADER.errorName, name],
    [
      HEADER.errorMessage,
      message.length > MAX_ERROR_CHARACTERS ? `${message.slice(0, MAX_ERROR_CHARACTERS)}…` : message,
    ],
  ]
}

/** All headers but ours: what the publisher sent. */
export const foreignHeaders = (headers: Headers): Headers =>
  headers.some(([name]) => isOurs(name)) ? headers.filter(([name]) => !isOurs(name)) : headers
