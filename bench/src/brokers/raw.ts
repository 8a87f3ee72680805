// What is measured of a client without Polybus, and what helps with it. Each broker's file fills it in. They use the topics,
// queues and streams that the adapter made for a channel without keys and one group, so that both sides have the same.
import { randomUUID } from 'node:crypto'
import { findPackageJSON } from 'node:module'
import { readFileSync } from 'node:fs'
import type { Make, Purchase } from '../purchases.ts'

/** The only group of a channel. */
export const GROUP = 'bench'

export type Handle = (order: Purchase) => Promise<void>

export interface Publishing {
  /** Resolves when the broker has confirmed each of them. */
  publish(from: number, to: number): Promise<void>
  close(): Promise<void>
}
export interface Consuming {
  /** Resolves when what was handled is settled. */
  close(): Promise<void>
}

/** Connections are made before the promises resolve, one set for each call. */
export interface RawBroker {
  /** Package and version. */
  readonly client: string
  readonly server: string
  /** The client as its README shows it, one message a call, many calls at a time. */
  publishNaive(channel: string, make: Make): Promise<Publishing>
  /**
   * The best that one writes by hand, for what the adapter promises.
   *
   * @param attributesOf of each message: without one it is its body alone.
   */
  publishTuned(channel: string, make: Make, attributesOf?: AttributesOf): Promise<Publishing>
  /** One message at a time. Both resolve when they are about to read: joined, and connected. */
  consumeNaive(channel: string, handle: Handle, fail: (error: unknown) => void): Promise<Consuming>
  consumeTuned(channel: string, handle: Handle, fail: (error: unknown) => void): Promise<Consuming>
  /** How many messages of the channel its group has not finished. */
  left(channel: string): Promise<number>
  /** Deletes all that belongs to a channel. */
  drop(channel: string): Promise<void>
  close(): Promise<void>
}

export interface Kind {
  /** For a round of 256 B; what is naive and slow gets less of them. */
  readonly messages: number
  readonly naive: { readonly publish: number; readonly consume: number }
  /** What the scenarios do, for the table. */
  readonly what: Readonly<Record<'publishNaive' | 'publishTuned' | 'consumeNaive' | 'consumeTuned', string>>
  /** Polybus over another client of the broker, measured beside it: what its URL gets. */
  readonly also?: { readonly name: string; readonly query: string } | undefined
  open(server: { readonly url: string; readonly log: string }): Promise<RawBroker>
}

/**
 * What a message needs for the same guarantees, beside its body: an id to know a duplicate by, a type and a content type to
 * read it by, a source, a time. They have the names that the adapter gives them, so that both sides write the same.
 */
export interface Attributes {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly contentType: string
  readonly time: Date
}
export type AttributesOf = () => Attributes
/** Under the names that Kafka's and SQS's adapters give them. */
export const textsOf = ({ id, source, type, contentType, time }: Attributes): Readonly<Record<string, string>> => ({
  ce_specversion: '1.0',
  ce_id: id,
  ce_source: source,
  ce_type: type,
  'content-type': contentType,
  ce_time: time.toISOString(),
})
export const attributesFor =
  (type: string): AttributesOf =>
  () => ({ id: randomUUID(), source: 'bench', type, contentType: 'application/json', time: new Date() })

/** Calls in flight of a naive publisher. */
export const NAIVE_WIDTH = 256

/** One call after the other in `width` lines side by side. */
export async function inFlight(
  from: number,
  to: number,
  width: number,
  send: (index: number) => Promise<unknown>,
): Promise<void> {
  if (to - from === 1) return void (await send(from))
  let next = from
  const line = async (): Promise<void> => {
    while (next < to) await send(next++)
  }
  await Promise.all(Array.from({ length: Math.min(width, to - from) }, line))
}

/** As `inFlight`, of pieces of so many. */
export async function piecesInFlight(
  from: number,
  to: number,
  size: number,
  width: number,
  send: (from: number, to: number) => Promise<unknown>,
): Promise<void> {
  const pieces = Math.ceil((to - from) / size)
  await inFlight(0, pieces, width, (piece) => send(from + piece * size, Math.min(to, from + (piece + 1) * size)))
}

export function versionOf(name: string): string {
  const path = findPackageJSON(name, import.meta.url)
  if (path === undefined) throw new Error(`${name} is not installed`)
  return `${name} ${(JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version}`
}

/** What the server says of its version where the protocol does not. */
export function versionIn(log: string, title: string, pattern: RegExp): string {
  const found = pattern.exec(readFileSync(log, 'utf8'))?.[1]
  return found === undefined ? title : `${title} ${found}`
}

/** Rejects where it takes longer. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not done within ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
