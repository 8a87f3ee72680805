import type { Adapter, Delivery, Outgoing, PolybusError, WireMessage } from '@polybus/core'

type Maybe<T> = T | Promise<T>

export interface OpenOptions {
  /** Abilities to take away, of those that {@link Harness.abilities} names. */
  readonly without: readonly string[]
}

export interface Timing {
  /** How long a delivery is ours unless extended. Default: what the adapter declares, else 30,000. */
  readonly leaseMs: number
  /** How long a case waits for something that should happen soon. Default 15,000. */
  readonly patienceMs: number
  /** One case may take so long. Default 60,000. */
  readonly caseMs: number
  /** How long channels must have been there before the server may be killed: some write new ones down only after a while. Default 0. */
  readonly ageMs: number
}

/**
 * What a module must export so that the suite can run against an adapter. Child processes import the same module.
 *
 * One for a broker behind fault proxies is in the example of {@link namespaceProxies}.
 *
 * @example
 * import { kafka } from '@polybus/kafka'
 * export const name = 'kafka'
 * export const open = () => kafka({ brokers: ['127.0.0.1:9092'] })
 */
export interface Harness {
  readonly name: string
  /** A fresh adapter, not connected yet, on the same broker each time. */
  open(namespace: string, options: OpenOptions): Adapter
  /** Abilities that {@link OpenOptions.without} may take away. */
  readonly abilities?: readonly string[]
  readonly timing?: Partial<Timing>
  /** The module's own address, set by {@link loadHarness}: child processes import it. */
  readonly url?: string
  /** What a feed holds stays its own when connections drop for a moment, as long as its lease or session lasts: it need not be made anew. */
  readonly feedsOutliveCuts?: true
  /** How many cases may run at once. More than one needs faults that stay within their namespace. Default 1. */
  readonly parallel?: number
  /** Called before the first `open` of a namespace, once in each process: a place to make the namespace's own fault proxy. */
  prepare?(namespace: string): Maybe<void>
  /** The broker of this namespace, told to fail. What is missing leaves out the cases that need it. */
  faults?(namespace: string): Faults
  /** The broker behind the adapter's back. */
  foreign?(namespace: string): Foreign
  /** Adapters whose `connect` must fail for good: wrong password, wrong host, a user without rights. Needed where the adapter declares `credentials`. */
  refusing?(): Readonly<Record<string, { open(): Adapter; readonly secret: string }>>
  /** Versions of client and server, for reports. */
  about?(): Maybe<Readonly<Record<string, string>>>
  /** Removes what a case left on the broker. */
  cleanup?(namespace: string): Maybe<void>
}

export interface Faults {
  /** Every connection drops, and none can be made until `up`. */
  down?(): Maybe<void>
  up?(): Maybe<void>
  /** Every live connection drops once. */
  cut?(): Maybe<void>
  /** Half-open: calls neither answer nor fail until `resume`; what was sent meanwhile may be done then. */
  pause?(): Maybe<void>
  resume?(): Maybe<void>
  /** The real server dies with SIGKILL; its data stays. Other namespaces feel it too, so only cases that run alone use it. */
  kill?(): Maybe<void>
  /** It is started again: same port, same data. Resolves when it answers. */
  restart?(): Maybe<void>
  /** The broker refuses every write to this destination until the undo is called. */
  blockWrites?(to: {
    readonly kind: 'group' | 'dead-letter'
    readonly channel: string
    readonly group: string
  }): Maybe<() => Maybe<void>>
  /** Everything on the broker is deleted, topology too (FLUSHALL); only for cases that run alone. */
  wipe?(): Maybe<void>
  /** This adapter dies like a killed process, without telling the broker. */
  crash?(adapter: Adapter): Maybe<void>
  /** The broker refuses what the function picks, the copy of a move included. Returns an undo. */
  refuse?(when: (outgoing: Outgoing) => PolybusError | undefined): Maybe<() => Maybe<void>>
  /** So many of the next sends are written, then the connection is cut before the answer. */
  loseAnswer?(times: number): Maybe<void>
  /** Expires leases now; answers how many. */
  loseLease?(match?: (delivery: Delivery) => boolean): Maybe<number>
  /** Subscriptions stay, and get nothing. */
  stall?(on: boolean): Maybe<void>
  deleteGroup?(channel: string, group: string): Maybe<void>
  deleteChannel?(channel: string): Maybe<void>
}

export type Fault = keyof Faults

export interface Foreign {
  /** As a producer that knows nothing of Polybus would send it. */
  send(channel: string, message: Partial<WireMessage> & { readonly body: Uint8Array | null }): Maybe<void>
  /** Dead letters as they lie on the broker. Absent: that look is left out. */
  deadLetters?(channel: string, group: string): Maybe<readonly WireMessage[]>
  /** How many consumers of the group the broker itself sees. Absent: that look is left out. */
  consumers?(channel: string, group: string): Maybe<number>
}

/**
 * Imports a harness and checks that it is one.
 *
 * @throws {Error} saying what the module lacks.
 */
export async function loadHarness(url: URL | string): Promise<Harness> {
  const module = (await import(String(url))) as Partial<Harness> & { default?: Partial<Harness> }
  const harness = typeof module.open === 'function' ? module : module.default
  if (typeof harness?.open !== 'function' || typeof harness.name !== 'string')
    throw new Error(`${String(url)} is no harness: it must export a text \`name\` and a function \`open(namespace)\`.`)
  return { ...(harness as Harness), url: String(url) }
}
