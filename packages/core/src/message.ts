// What travels. Types only: the rules about messages live where they are enforced.

/** A header's value: text, or bytes where the broker's protocol can carry them. */
export type HeaderValue = string | Uint8Array

/** Headers in wire order. A name may stand more than once where the adapter's `headers.duplicates` says so. */
export type Headers = readonly (readonly [name: string, value: HeaderValue])[]

/**
 * A message between core and an adapter: CloudEvents 1.0 attributes in binary mode, and the plain payload.
 * What a foreign producer left out is `undefined`; adapters fill in `id` from a stable broker position where there is one.
 */
export interface WireMessage {
  readonly id: string | undefined
  readonly source: string | undefined
  readonly type: string | undefined
  /** Milliseconds since 1970. */
  readonly time: number | undefined
  readonly key: string | undefined
  /** Names that start with `polybus-` are core's; adapters carry them like any other. CloudEvents names never stand here. */
  readonly headers: Headers
  /** `null` is a tombstone. */
  readonly body: Uint8Array | null
  readonly contentType: string | undefined
  readonly dataSchema: string | undefined
  readonly correlationId: string | undefined
  readonly causationId: string | undefined
}

/** A message as handlers, middleware and dead-letter tools see it. Immutable. */
export interface Message {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly time: Date
  readonly key: string | undefined
  /** Text headers; of several with one name the last. */
  readonly headers: Readonly<Record<string, string>>
  /** All headers, in wire order. */
  readonly rawHeaders: Headers
  /** The payload as it arrived; `null` is a tombstone. */
  readonly body: Uint8Array | null
  readonly contentType: string | undefined
  readonly dataSchema: string | undefined
  /** Where the broker keeps it; only the adapter gives this text a meaning. */
  readonly position: string
  readonly correlationId: string | undefined
  readonly causationId: string | undefined
}
