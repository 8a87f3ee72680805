// A message as handlers see it, made from the wire's form only as far as somebody looks.
import type { Headers, Message, WireMessage } from './message.ts'
import { foreignHeaders } from './consume/progress.ts'

class MessageView implements Message {
  readonly #wire: WireMessage
  readonly id: string
  readonly position: string
  #time: Date | undefined
  #raw: Headers | undefined
  #headers: Readonly<Record<string, string>> | undefined

  constructor(wire: WireMessage, id: string, position: string) {
    this.#wire = wire
    this.id = id
    this.position = position
  }
  get source(): string {
    return this.#wire.source ?? ''
  }
  get type(): string {
    return this.#wire.type ?? ''
  }
  get time(): Date {
    return (this.#time ??= new Date(this.#wire.time ?? 0))
  }
  get key(): string | undefined {
    return this.#wire.key
  }
  get rawHeaders(): Headers {
    return (this.#raw ??= foreignHeaders(this.#wire.headers))
  }
  get headers(): Readonly<Record<string, string>> {
    return (this.#headers ??= Object.fromEntries(
      this.rawHeaders.filter(([, value]) => typeof value === 'string'),
    ) as Record<string, string>)
  }
  get body(): Uint8Array | null {
    return this.#wire.body
  }
  get contentType(): string | undefined {
    return this.#wire.contentType
  }
  get dataSchema(): string | undefined {
    return this.#wire.dataSchema
  }
  get correlationId(): string | undefined {
    return this.#wire.correlationId
  }
  get causationId(): string | undefined {
    return this.#wire.causationId
  }
}

/** `id`: the wire's, or the one that a foreign message was given. */
export const viewMessage = (wire: WireMessage, id: string, position: string): Message =>
  new MessageView(wire, id, position)

/** The record of the wire behind a view, for adapters' readers of native records. */
export type { MessageView }
