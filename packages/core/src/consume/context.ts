// What a handler gets beside the value. Most handlers look at little of it, so everything is made when it is looked at.
import { createHash } from 'node:crypto'
import type { Context, Logger, Publish } from '../api.ts'
import type { Message } from '../message.ts'
import { viewMessage } from '../view.ts'
import type { Outputs } from '../outputs.ts'
import { type Flight, signalOf } from './flight.ts'

/** What all deliveries of a consumer share. */
export interface ContextShared {
  readonly channel: string
  readonly group: string
  readonly attempts: number
  readonly log: Logger
  /** A publish that carries on from this message, into the outputs of its transaction where there are any. */
  readonly publishFrom: (message: Message, outputs: Outputs | undefined) => Publish
  readonly transactional: boolean
}

export class HandlerContext implements Context<unknown> {
  readonly group: string
  readonly attempt: number
  readonly tx: unknown
  readonly #shared: ContextShared
  readonly #flight: Flight
  readonly #id: string
  readonly #effectKey: string | undefined
  readonly #outputs: Outputs | undefined
  #message: Message | undefined

  constructor(
    shared: ContextShared,
    flight: Flight,
    id: string,
    tx: unknown,
    effectKey: string | undefined,
    outputs: Outputs | undefined,
  ) {
    this.group = shared.group
    this.attempt = flight.progress.made + 1
    this.tx = tx
    this.#shared = shared
    this.#flight = flight
    this.#id = id
    this.#effectKey = effectKey
    this.#outputs = outputs
  }
  /** For batches. */
  static flightOf(ctx: Context<unknown>): Flight | undefined {
    return #flight in ctx ? ctx.#flight : undefined
  }
  get lastAttempt(): boolean {
    return this.attempt >= this.#shared.attempts
  }
  get message(): Message {
    return (this.#message ??= viewMessage(this.#flight.delivery.message, this.#id, this.#flight.delivery.position))
  }
  get signal(): AbortSignal {
    return signalOf(this.#flight)
  }
  get log(): Logger {
    return bound(this.#shared, { messageId: this.#id, attempt: this.attempt })
  }
  /** For batches: without the message. */
  static logOf(ctx: Context<unknown>): Logger {
    return #shared in ctx ? bound(ctx.#shared, {}) : ctx.log
  }
  get publish(): Publish {
    return this.#shared.publishFrom(this.message, this.#outputs)
  }
  get sideEffectKey(): (name: string) => string {
    const { channel, group } = this.#shared
    const base = this.#effectKey ?? `${this.#flight.delivery.message.source ?? ''}:${this.#id}`
    return (name) =>
      createHash('sha256')
        .update(JSON.stringify([channel, group, base, name]))
        .digest('hex')
        .slice(0, 32)
  }
}

function bound({ channel, group, log }: ContextShared, more: object): Logger {
  const at =
    (level: keyof Logger) =>
    (fields: object, text: string): void =>
      log[level]({ channel, group, ...more, ...fields }, text)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
