import type { Adapter, Call, Delivery, Feed, Outgoing, Receipt, Result, Settlement, Source } from '@polybus/core'

/** What may be seen at the seam. Each is called after the adapter has answered; `undefined`: the whole call failed. */
export interface Watcher {
  connecting?(): void
  sending?(batch: readonly Outgoing[]): void
  sent?(outgoing: Outgoing, result: Result<Receipt> | undefined): void
  subscribed?(source: Source, feed: Feed): void
  received?(source: Source, deliveries: readonly Delivery[]): void
  /** May wait, or throw, before the adapter is asked. */
  settling?(
    source: Source,
    batch: readonly { delivery: Delivery | undefined; settlement: Settlement }[],
  ): Promise<void> | void
  settled?(
    source: Source,
    delivery: Delivery | undefined,
    settlement: Settlement,
    result: Result<void> | undefined,
  ): void
  extended?(source: Source, tokens: readonly unknown[]): void
  feedClosed?(source: Source, feed: Feed): void
}

/** The same adapter, with somebody watching. Nothing is changed on the way. */
export function tap(adapter: Adapter, watcher: Watcher): Adapter {
  return derive(adapter, {
    connect(call) {
      watcher.connecting?.()
      return adapter.connect(call)
    },
    async send(batch, call) {
      watcher.sending?.(batch)
      let results: readonly Result<Receipt>[] | undefined
      try {
        return (results = await adapter.send(batch, call))
      } finally {
        for (const [index, outgoing] of batch.entries()) watcher.sent?.(outgoing, results?.[index])
      }
    },
    async subscribe(source, call) {
      const feed = tapFeed(await adapter.subscribe(source, call), source, watcher)
      watcher.subscribed?.(source, feed)
      return feed
    },
  })
}

/** The adapter with some members replaced; what is read later (facets that need a connection) stays live. */
export function derive(adapter: Adapter, members: Partial<Adapter>): Adapter {
  return Object.create(adapter, Object.getOwnPropertyDescriptors(members)) as Adapter
}

function tapFeed(feed: Feed, source: Source, watcher: Watcher): Feed {
  const held = new Map<unknown, Delivery>()
  const { extend, backlog, drain } = feed
  return {
    async receive(max, call) {
      const deliveries = await feed.receive(max, call)
      for (const delivery of deliveries) held.set(delivery.token, delivery)
      if (deliveries.length > 0) watcher.received?.(source, deliveries)
      return deliveries
    },
    async settle(batch, call) {
      const known = batch.map((settlement) => ({ settlement, delivery: held.get(settlement.token) }))
      for (const { token } of batch) held.delete(token)
      let results: readonly Result<void>[] | undefined
      try {
        await watcher.settling?.(source, known)
        return (results = await feed.settle(batch, call))
      } finally {
        for (const [index, { delivery, settlement }] of known.entries()) {
          const result = results?.[index]
          // What failed may be settled again.
          if (delivery && !result?.ok) held.set(delivery.token, delivery)
          watcher.settled?.(source, delivery, settlement, result)
        }
      }
    },
    ...(extend && {
      extend(tokens: readonly unknown[], call: Call) {
        watcher.extended?.(source, tokens)
        return extend(tokens, call)
      },
    }),
    ...(backlog && { backlog }),
    ...(drain && { drain }),
    state: () => feed.state(),
    async close() {
      watcher.feedClosed?.(source, feed)
      await feed.close()
    },
  }
}
