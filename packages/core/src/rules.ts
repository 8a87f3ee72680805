// Which combinations exist: a short list. Code refuses by it, tests read it, docs/combinations.md lists its cells.
import type { Capabilities } from './adapter.ts'
import { PolybusError } from './errors.ts'

/** What a consumer asks of an adapter. */
export interface Situation {
  readonly delivery: 'at-least-once' | 'at-most-once' | 'transactional'
  readonly store: 'none' | 'claim' | 'transactional'
  readonly keyed: boolean
  /** Order-preserving dead letters. */
  readonly inOrder: boolean
  /** What the store can park messages in; `process`: they are gone with it. */
  readonly parking: 'none' | 'process' | 'durable'
  readonly batch: boolean
  /** As asked for; undefined: the default. */
  readonly wait: 'held' | 'released' | undefined
  readonly from: 'beginning' | 'end' | undefined
  /** More than one attempt was asked for in so many words. */
  readonly retries: boolean
  readonly timeoutMs: number
  /** All waits between attempts, if they are held. */
  readonly heldMs: number
  readonly capabilities: Capabilities
}

export interface Rule {
  readonly when: (situation: Situation) => boolean
  readonly feature: string
  readonly alternative: string
}

export const RULES: readonly Rule[] = [
  {
    when: ({ delivery, store }) => delivery === 'at-most-once' && store !== 'none',
    feature: "delivery 'at-most-once' with an idempotency store",
    alternative: 'leave delivery out: a store makes the consumer effectively-once',
  },
  {
    when: ({ delivery, retries }) => delivery === 'at-most-once' && retries,
    feature: "delivery 'at-most-once' with retries",
    alternative: "leave retry out, or leave delivery out ('at-least-once')",
  },
  {
    when: ({ delivery, capabilities }) => delivery === 'transactional' && !capabilities.transactional,
    feature: "delivery 'transactional'",
    alternative: 'an idempotency store, which makes the consumer effectively-once',
  },
  {
    when: ({ delivery, store, capabilities }) =>
      delivery === 'transactional' && capabilities.transactional && store !== 'none',
    feature: "delivery 'transactional' with an idempotency store",
    alternative: 'one of the two',
  },
  {
    when: ({ delivery, batch, capabilities }) => delivery === 'transactional' && capabilities.transactional && batch,
    feature: "delivery 'transactional' for a batch consumer",
    alternative: 'a handler for single messages: the adapter puts many of them into one transaction by itself',
  },
  {
    when: ({ keyed, capabilities }) => keyed && !capabilities.ordering,
    feature: 'order by key',
    alternative: 'a channel without a key',
  },
  {
    when: ({ wait, capabilities }) => wait === 'released' && capabilities.delay.kind === 'none',
    feature: "retry.wait 'released'",
    alternative: "retry.wait 'held'",
  },
  {
    when: ({ from, capabilities }) => from !== undefined && !capabilities.from.includes(from),
    feature: "this 'from'",
    alternative: 'declare the group on the channel, so that it exists before the messages',
  },
  {
    when: ({ timeoutMs, capabilities: { lease } }) => !lease.renewable && lease.ms !== null && timeoutMs > lease.ms,
    feature: 'a timeout above the lease, which cannot be renewed',
    alternative: 'a shorter timeout, or a longer lease on the broker',
  },
  {
    when: ({ wait, keyed, timeoutMs, heldMs, capabilities: { lease } }) =>
      lease.maxHoldMs !== null &&
      timeoutMs + ((wait ?? (keyed ? 'held' : 'released')) === 'held' ? heldMs : 0) > lease.maxHoldMs,
    feature: 'a timeout and held retries longer than the broker lets a delivery be held',
    alternative: "fewer or shorter retries, a shorter timeout, or retry.wait 'released'",
  },
  {
    when: ({ inOrder, delivery }) => inOrder && delivery !== 'at-least-once',
    feature: "deadLetter 'in-order' with this delivery",
    alternative: 'leave delivery out: the store makes the consumer effectively-once',
  },
  {
    when: ({ inOrder, keyed }) => inOrder && !keyed,
    feature: "deadLetter 'in-order' on a channel without a key",
    alternative: 'a key on the channel, or deadLetter true',
  },
  {
    when: ({ inOrder, parking }) => inOrder && parking === 'none',
    feature: "deadLetter 'in-order' without a store that can park messages",
    alternative: 'an idempotency store such as pgStore, sqliteStore or redisStore, or deadLetter true',
  },
  {
    when: ({ inOrder, parking, capabilities }) => inOrder && parking === 'process' && capabilities.persistent,
    feature: "deadLetter 'in-order' with a store in memory, which loses what is parked with its process",
    alternative: 'a store that outlives the process, such as pgStore, sqliteStore or redisStore',
  },
  {
    when: ({ inOrder, wait }) => inOrder && wait === 'released',
    feature: "deadLetter 'in-order' with retry.wait 'released', which lets later messages overtake",
    alternative: "retry.wait 'held'",
  },
  {
    when: ({ batch, store }) => batch && store === 'transactional',
    feature: 'a batch consumer with a transactional store',
    alternative: 'a handler for single messages with this store, or a batch with a claim store',
  },
]

/** Refuses the first rule that applies. */
export function refuseUnsupported(adapter: string, consumer: string, situation: Situation): void {
  const rule = RULES.find(({ when }) => when(situation))
  if (rule)
    throw new PolybusError(
      'UNSUPPORTED',
      `${adapter} cannot do ${rule.feature}, which consumer '${consumer}' asks for. Nearest: ${rule.alternative}.`,
    )
}
