/** What publish middleware sees, and may change: headers. */
export interface PublishContext {
  readonly channel: string
  readonly id: string
  readonly key: string | undefined
  readonly value: unknown
  /** Text headers of this message; set or delete. */
  readonly headers: Record<string, string>
}

/** Wraps a publish; `next` resolves when the broker has confirmed. */
export type PublishMiddleware = (ctx: PublishContext, next: () => Promise<void>) => Promise<void>
